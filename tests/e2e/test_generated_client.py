"""A client that another tool made from our OpenAPI document runs the README's example."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest

from bench.packages import NODE
from tests.node import installed_packages, node_tool
from tests.stack import COMMAND_SECONDS, Up

ROOT = Path(__file__).parents[2]
LOCAL = "http://127.0.0.1:8000"
HELLO = Path(__file__).with_name("hello.ts")
# No formatter of its own: what it writes is only imported.
CONFIG = "package_name_override: perdure_client\npost_hooks: []\n"


@pytest.fixture(scope="module")
def generated(stack: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    place = tmp_path_factory.mktemp("client")
    document = httpx2.get(
        f"{stack.facts()['api_url']}/openapi.json", timeout=COMMAND_SECONDS
    ).json()
    (place / "openapi.json").write_text(json.dumps(document))
    (place / "config.yaml").write_text(CONFIG)
    made = subprocess.run(
        [
            Path(sys.executable).with_name("openapi-python-client"),
            "generate",
            "--path=openapi.json",
            "--config=config.yaml",
            "--meta=none",
            "--output-path=perdure_client",
        ],
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_SECONDS,
    )
    assert "WARNING" not in made.stdout, made.stdout  # nothing of the document was left out
    sys.path.insert(0, str(place))
    yield importlib.import_module("perdure_client")
    sys.path.remove(str(place))


def call(operation: str, **given: Any) -> Any:
    """Ask by the generated function of an operation, and expect no problem."""
    tag, name = operation.split(".")
    module = importlib.import_module(f"perdure_client.api.{tag}.{name}")
    answer = module.sync(**given)
    assert answer is not None
    assert type(answer).__name__ != "Problem", answer
    return answer


def test_a_generated_client_runs_the_readmes_example(stack: Up, generated: ModuleType) -> None:
    facts = stack.facts()
    models = importlib.import_module("perdure_client.models")
    body = models.TaskCreate.from_dict(
        {
            "name": "generated haiku",
            "prompt_template": "Write a haiku about {{ topic }}.",
        }
    )
    run = models.ExecuteBody.from_dict({"variables": {"topic": "patience"}})
    with generated.AuthenticatedClient(
        base_url=facts["api_url"], token=facts["token"], timeout=COMMAND_SECONDS
    ) as client:
        task = call("tasks.create_task", client=client, body=body)
        execution = call("tasks.execute_task", client=client, task_id=task.id, body=run, wait=30)
        assert execution.status == "completed"
        assert execution.rendered_prompt == "Write a haiku about patience."
        listed = call("executions.list_executions", client=client, task_id=task.id)
        assert [found.id for found in listed.items] == [execution.id]
        messages = call("executions.list_messages", client=client, execution_id=execution.id)
        assert [message.role for message in messages.items] == ["user", "assistant"]


def test_the_guides_example_runs_as_it_is_written(stack: Up, generated: ModuleType) -> None:
    facts = stack.facts()
    guide = (ROOT / "docs" / "guides" / "clients.md").read_text(encoding="utf-8")
    code = guide.split("```python\n")[1].split("```")[0]
    assert LOCAL in code
    ran = subprocess.run(
        [sys.executable, "-c", code.replace(LOCAL, facts["api_url"])],
        cwd=Path(str(generated.__file__)).parents[1],
        env={**os.environ, "PERDURE_TOKEN": facts["token"]},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert "text" in ran.stdout, ran.stdout + ran.stderr


def test_typescript_for_the_document_compiles_and_runs(stack: Up, tmp_path: Path) -> None:
    """Without options of the generator, and with the strictest ones of the compiler."""
    facts = stack.facts()
    document = httpx2.get(f"{facts['api_url']}/openapi.json", timeout=COMMAND_SECONDS).json()
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "hello.ts").write_text(HELLO.read_text())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(installed_packages())
    checks = (
        "--strict",
        "--noEmit",
        "--module",
        "preserve",
        "--target",
        "es2022",
        "--skipLibCheck",
    )
    for command in (
        [*node_tool("openapi-typescript"), "openapi.json", "-o", "schema.d.ts"],
        [*node_tool("typescript", "tsc"), *checks, "hello.ts"],
    ):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    ran = subprocess.run(
        [NODE, "hello.ts", facts["api_url"], facts["token"]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert ran.stdout == "completed Write a haiku about patience.\n", ran.stderr
