"""Tests that can't fail: those that assert only under an `if`, or compare a value with itself.

And tests that would start one more stack.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distribution import ONE_PROCESS

TESTS = Path(__file__).parents[1]


def functions_of(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The test functions of a module."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name.startswith("test_"):
                    yield node


def is_assertion(node: ast.AST) -> bool:
    """Whether the node is an `assert`, or a call of `pytest.raises` or the like."""
    checks = ("raises", "fail", "warns", "RaisesGroup")
    return isinstance(node, ast.Assert) or (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in checks
    )


def assertions(node: ast.AST, *, under_if: bool = False) -> Iterator[bool]:
    """For each assertion below the node, whether it is in one branch of an `if` only."""
    under_if = under_if or (isinstance(node, ast.If) and not both_branches_assert(node))
    for child in ast.iter_child_nodes(node):
        if is_assertion(child):
            yield under_if
        yield from assertions(child, under_if=under_if)


def both_branches_assert(node: ast.If) -> bool:
    return all(
        any(is_assertion(part) for statement in branch for part in ast.walk(statement))
        for branch in (node.body, node.orelse)
    )


def asserts_only_under_if(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    found = list(assertions(function))
    return bool(found) and all(found)


def compares_a_value_with_itself(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Compare):
            operands = [ast.dump(operand) for operand in (node.left, *node.comparators)]
            calls = any(isinstance(part, ast.Call) for part in ast.walk(node))
            if len(set(operands)) < len(operands) and not calls:
                return True
    return False


MODULES = sorted(TESTS.rglob("test_*.py"))


@pytest.mark.parametrize("check", [asserts_only_under_if, compares_a_value_with_itself])
def test_every_test_can_fail(check: object) -> None:
    assert callable(check)
    found = [
        f"{module.relative_to(TESTS)}:{function.lineno} {function.name}"
        for module in MODULES
        for function in functions_of(module.read_text(encoding="utf-8"))
        if check(function)
    ]
    assert found == []


UNDER_IF = "def test_x(a):\n    if a:\n        assert a == 1"
IN_ELSE = "def test_x(a):\n    if a:\n        pass\n    else:\n        assert a == 1"
IN_LOOP = "async def test_x(a):\n    for b in a:\n        if b:\n            assert a"
IN_BOTH = "def test_x(a):\n    if a:\n        assert a == 1\n    else:\n        assert a == 0"
OUTSIDE = "def test_x(a):\n    if a:\n        assert a == 1\n    assert a"
RAISES = "def test_x(a):\n    if a:\n        assert a\n    with pytest.raises(E):\n        f()"
SAME = "def test_x(a):\n    assert a.b == a.b"
CHAINED = "def test_x(a):\n    assert a == b == a"
TWO_CALLS = "def test_x():\n    assert f() == f()"


@pytest.mark.parametrize(
    ("source", "only_under_if", "with_itself"),
    [
        (UNDER_IF, True, False),
        (IN_ELSE, True, False),
        (IN_LOOP, True, False),
        (IN_BOTH, False, False),
        (OUTSIDE, False, False),
        (RAISES, False, False),
        (SAME, False, True),
        (CHAINED, False, True),
        (TWO_CALLS, False, False),
    ],
)
def test_the_checks_find_what_they_look_for(
    source: str, *, only_under_if: bool, with_itself: bool
) -> None:
    [function] = functions_of(source)
    assert asserts_only_under_if(function) is only_under_if
    assert compares_a_value_with_itself(function) is with_itself


def test_the_tests_of_a_shared_stack_run_in_one_process(request: pytest.FixtureRequest) -> None:
    """Each other process would start a stack of its own."""
    sharing = {
        item.nodeid.partition("::")[0]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "stack" in item.fixturenames
    }
    assert {file for file in sharing if not file.startswith(tuple(ONE_PROCESS))} == set()
