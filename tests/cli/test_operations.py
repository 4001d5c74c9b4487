"""The table of operations that the command line calls the gateway by."""

import ast
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.connection.client import Client
from cli.connection.endpoint import Endpoint
from cli.connection.operations import load_operations

ROOT = Path(__file__).parents[2]
CALLS = {"call", "call_with_retries", "start", "iterate", "read_content", "download"}
DECLARATIONS = {"add_list": 0, "add_show": 1, "add_action": 1}


def literal_operations() -> Iterator[str]:
    """The operations that the code of the command line names."""
    for file in (ROOT / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = node.func.attr
                index = 0 if name in CALLS else DECLARATIONS.get(name)
                given = node.args[index : index + 1] if index is not None else []
                words = [word.value for word in given if isinstance(word, ast.Constant)]
                yield from (word for word in words if isinstance(word, str) and "_" in word)


def test_the_table_is_the_one_of_the_openapi_document() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "write_operations.py"))
    assert script["FILE"].read_text(encoding="utf-8") == script["render"]()


def test_every_operation_that_is_called_exists() -> None:
    named = set(literal_operations())
    assert len(named) > 50
    assert named - load_operations().keys() == set()


def test_paths_are_quoted_and_unknown_parameters_are_an_error() -> None:
    client = Client(Endpoint("http://127.0.0.1:1", "token"))
    method, url, query = client._prepare("put_secret", {"name": "a/../b"})
    assert (method, url, query) == ("PUT", "/api/v1/secrets/a%2F..%2Fb", {})
    assert client._prepare("list_tasks", {"is_active": True, "q": None})[2] == {"is_active": "true"}
    with pytest.raises(TypeError, match="no parameter colour"):
        client._prepare("list_tasks", {"colour": "red"})
    with pytest.raises(KeyError, match="name"):
        client._prepare("put_secret", {})
