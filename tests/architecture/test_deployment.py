"""What no engine checks for us here: that image, compose file and profile fit the code."""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cli.main import app
from cli.stack import parts, temporal
from runtime.settings import Settings
from tests.architecture.seccomp_profile import Profile
from tools import seccomp

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "deploy" / "seccomp.json"
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "api", "worker")

NEEDED_BY_BUBBLEWRAP = {"clone", "mount", "pivot_root", "sethostname", "umount2", "unshare"}


def variables() -> Iterator[tuple[str, str, str | None]]:
    for service, definition in SERVICES.items():
        for name, value in definition.get("environment", {}).items():
            yield service, name, value


def profile() -> Profile:
    return Profile.model_validate_json(PROFILE.read_text("utf-8"))


# --- the compose file ---------------------------------------------------------------------------


OPTIONAL_SECRETS = {"PERDURE_OIDC_CLIENT_SECRET", "PERDURE_SLACK_SIGNING_SECRET"}
"""Passed on from the environment if they are set there."""


def test_the_file_contains_no_secret_and_a_missing_one_stops_the_start() -> None:
    secret = re.compile(r"PASSWORD|PWD|SECRET|KEY|DATABASE_URL")
    secrets = [(s, n, v) for s, n, v in variables() if secret.search(n)]
    assert len(secrets) >= 6
    for service, name, value in secrets:
        if value is None and name in OPTIONAL_SECRETS:
            continue
        assert re.search(r"\$\{[A-Z_]+:\?[^}]+\}", value or ""), (service, name)


def test_every_secret_is_in_the_example_without_a_value() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    example = (ROOT / "deploy" / "env.example").read_text("utf-8")
    for name in set(re.findall(r"\$\{([A-Z_]+)", text)):
        assert re.search(rf"^{name}=$", example, re.MULTILINE), name


def test_only_gateway_and_temporal_ui_are_published_and_on_loopback() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert published.keys() == {"api", "temporal-ui"}
    assert all(p.startswith("127.0.0.1:") for ports in published.values() for p in ports)


def test_our_variables_are_settings() -> None:
    known = {f"PERDURE_{field.upper()}" for field in Settings.model_fields}
    used = {name for _, name, _ in variables() if name.startswith("PERDURE_")}
    assert used <= known


def test_our_commands_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined] # it is a group
    for service in OURS:
        assert SERVICES[service]["command"] == [service]
        assert service in commands


def test_only_the_worker_gets_a_key_to_the_model() -> None:
    having = {s for s, name, _ in variables() if name.startswith("ANTHROPIC_")}
    assert having == {"worker", "worker-2"}


def test_a_second_worker_has_a_home_of_its_own() -> None:
    first, second = SERVICES["worker"], SERVICES["worker-2"]
    assert {**second, "volumes": first["volumes"]} == {**first, "profiles": ["two-workers"]}
    homes = {
        volume for s in (first, second) for volume in s["volumes"] if "artifacts" not in volume
    }
    assert homes == {"home:/var/lib/perdure", "home-2:/var/lib/perdure"}


def test_the_worker_has_the_time_it_needs_to_drain() -> None:
    drain: float = Settings.model_fields["drain_seconds"].default
    seconds = float(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert seconds >= drain + parts.WORKER_MARGIN_SECONDS


def test_our_containers_have_no_capability_and_can_gain_none() -> None:
    for service in OURS:
        assert SERVICES[service]["cap_drop"] == ["ALL"]
        assert "no-new-privileges=true" in SERVICES[service]["security_opt"]


def test_temporal_is_the_release_the_tests_run_on() -> None:
    version = subprocess.run(
        [temporal.binary(), "--version"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"Server (?P<server>[\d.]+), UI (?P<ui>[\d.]+)", version)
    assert found
    assert SERVICES["temporal"]["image"] == f"temporalio/server:{found['server']}"
    assert SERVICES["temporal-ui"]["image"] == f"temporalio/ui:{found['ui']}"
    for job in ("temporal-schema", "temporal-namespace"):
        assert SERVICES[job]["image"] == f"temporalio/admin-tools:{found['server']}"


def test_temporal_has_the_settings_of_perdure_up() -> None:
    path = ROOT / "deploy" / "temporal" / "dynamicconfig.yaml"
    configured = yaml.safe_load(path.read_text("utf-8"))
    ours = {name: [{"value": json.loads(v)}] for name, v in temporal.DYNAMIC_CONFIG.items()}
    assert configured == ours


@pytest.mark.parametrize("script", ["schema.sh", "namespace.sh"])
def test_scripts_parse(script: str) -> None:
    path = ROOT / "deploy" / "temporal" / script
    assert subprocess.run(["/bin/sh", "-n", path], check=False).returncode == 0


# --- the image ----------------------------------------------------------------------------------


def test_the_image_takes_in_what_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    kept = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    assert {*wheel, "pyproject.toml"} <= kept
    assert all((ROOT / name).exists() for name in kept)
    assert not any(name.startswith(".") for name in kept)


def test_the_image_installs_by_hash_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    locks = [line for line in lines if "pip install" in line and "-r " in line]
    assert len(locks) == 2
    assert all("--require-hashes" in line for line in locks)
    assert "USER 10001:10001" in lines


# --- the profile --------------------------------------------------------------------------------


def test_the_profile_allows_what_bubblewrap_needs_and_no_more_of_that_kind() -> None:
    forbidden_in_the_sandbox = set(seccomp._FORBIDDEN) | {"clone3"}
    allowed = profile().allowed()
    assert allowed >= NEEDED_BY_BUBBLEWRAP
    assert allowed & forbidden_in_the_sandbox <= NEEDED_BY_BUBBLEWRAP


def test_the_sandbox_can_be_made_under_the_profile() -> None:
    assert probe(PROFILE) == ""


def test_each_call_given_to_bubblewrap_is_needed(tmp_path: Path) -> None:
    for call in sorted(NEEDED_BY_BUBBLEWRAP - {"clone"}):  # without clone Python starts nothing
        raw = json.loads(PROFILE.read_text("utf-8"))
        raw["syscalls"][0]["names"].remove(call)
        without = tmp_path / f"without-{call}.json"
        without.write_text(json.dumps(raw), encoding="utf-8")
        tmp_path.chmod(0o755)
        assert "The sandbox can't be created" in probe(without), call


def probe(path: Path) -> str:
    """What the worker's container would say about its sandbox."""
    with tempfile.TemporaryDirectory(prefix="perdure-confined-") as workspaces:
        done = subprocess.run(
            [sys.executable, "-m", "tests.architecture.confined", str(path), workspaces],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    return done.stdout
