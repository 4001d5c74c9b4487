"""Reading, writing, editing, listing, searching and keeping files."""

import asyncio
import hashlib
import io
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.entries import MEMORY_TOOLS, READ_ARTIFACT, WEB_TOOLS
from domain.tools.builtin import BUILTIN_TOOLS
from domain.tools.calls import ProcessIdentity, ToolEffect
from tests.tools.conftest import MakeCalls, SessionCalls
from tools import listing
from tools.limits import MIB, ToolLimits
from tools.lines import LineReader
from tools.listing import matches


async def test_write_read_edit(call: SessionCalls) -> None:
    assert await call.text("write_file", path="a/b.txt", content="one\ntwo\n") == (
        "Made a/b.txt (8 bytes)."
    )
    assert await call.text("read_file", path="/workspace/a/b.txt") == "     1\tone\n     2\ttwo"
    assert await call.text("edit_file", path="a/b.txt", old_text="two", new_text="2") == (
        "Edited a/b.txt."
    )
    assert (call.workspace / "a/b.txt").read_text() == "one\n2\n"
    assert (
        await call.text("write_file", path="a/b.txt", content="") == "Replaced a/b.txt (0 bytes)."
    )
    assert await call.text("read_file", path="a/b.txt") == "(a/b.txt is empty)"


async def test_reading_in_parts(call: SessionCalls) -> None:
    (call.workspace / "n").write_text("".join(f"line {n}\n" for n in range(1, 10_001)))
    first = await call.text("read_file", path="n")
    assert "(lines 1 to " in first
    following = int(first.rpartition("offset ")[2].rstrip(")"))
    part = await call.text("read_file", path="n", offset=following, limit=2)
    assert part.splitlines()[0] == f"{following:6}\tline {following}"
    assert part.endswith(f"of 10,000; continue with offset {following + 2})")
    last = await call.text("read_file", path="n", offset=10_000)
    assert last.endswith("(lines 10,000 to 10,000 of 10,000; that is the end)")
    assert await call.refusal("read_file", path="n", offset=10_001) == "n has only 10,000 lines."


async def test_reading_odd_files(call: SessionCalls) -> None:
    (call.workspace / "binary").write_bytes(os.urandom(5000))
    (call.workspace / "latin").write_bytes("Grüße\0\n".encode("latin-1"))
    (call.workspace / "wide").write_bytes(b"x" * 1_000_000)
    assert await call.text("read_file", path="binary") == "(binary is a binary file of 5,000 bytes)"
    assert await call.text("read_file", path="latin") == "     1\tGr��e␀"
    wide = await call.text("read_file", path="wide")
    assert wide.endswith("x (… 998,000 bytes more)")


@pytest.mark.parametrize(
    ("tool_input", "expected"),
    [
        ({"path": "none"}, "There is no none in the workspace."),
        ({"path": "d"}, "d is a directory."),
        ({"path": "f/x"}, "A part of f/x is not a directory."),
        ({"path": "../f"}, "is not a path in the workspace"),
        ({"path": "x" * 300}, "File name too long"),
        ({"path": "\ud800"}, "lone surrogate"),
        ({"path": 7}, "field path: 7 is not of type 'string'"),
        ({}, "'path' is a required property"),
        ({"path": "f", "surprise": 1}, "'surprise' was unexpected"),
        ({"path": "f", "offset": 0}, "field offset"),
        ([], "is not of type 'object'"),
    ],
)
async def test_unusable_input_is_answered(
    call: SessionCalls, tool_input: Any, expected: str
) -> None:
    (call.workspace / "d").mkdir()
    (call.workspace / "f").touch()
    invocation = replace(call.invocation("read_file"), input=tool_input)
    outcome = await call.run(invocation)
    assert outcome.is_error
    assert expected in outcome.text


async def test_a_tool_that_does_not_exist(call: SessionCalls) -> None:
    text = await call.refusal("Read\ud800", path="x")
    assert text.startswith(r"There is no tool named 'Read\ud800'. The tools are: bash, read_file,")


@pytest.mark.parametrize("tool", ["write_file", "edit_file", "save_artifact"])
async def test_nothing_changes_before_it_is_on_record(call: SessionCalls, tool: str) -> None:
    class RecordLostError(Exception):
        pass

    async def on_started(identity: ProcessIdentity | None) -> None:
        assert identity is None
        raise RecordLostError

    (call.workspace / "f").write_text("a")
    given: dict[str, dict[str, str]] = {
        "write_file": {"content": "b"},
        "edit_file": {"old_text": "a", "new_text": "b"},
        "save_artifact": {},
    }
    with pytest.raises(RecordLostError):
        await call.run(call.invocation(tool, path="f", **given[tool]), on_started)
    assert (call.workspace / "f").read_text() == "a"


async def test_read_only_tools_leave_no_record(call: SessionCalls) -> None:
    (call.workspace / "f").write_text("a")
    inputs = {"search_files": {"pattern": "a"}, "list_files": {}, "read_file": {"path": "f"}}
    read_only = {n for n, spec in BUILTIN_TOOLS.items() if spec.effect is ToolEffect.READ_ONLY}
    assert inputs.keys() == read_only - WEB_TOOLS - MEMORY_TOOLS - {READ_ARTIFACT}
    for name, tool_input in inputs.items():
        await call.text(name, **tool_input)
    assert call.started == []


async def test_writing_keeps_permissions_and_never_follows_out(
    call: SessionCalls, tmp_path: Path
) -> None:
    script = call.workspace / "script"
    script.write_text("old")
    script.chmod(0o4755)
    await call.text("write_file", path="script", content="new")
    assert script.stat().st_mode & 0o7777 == 0o755
    outside = tmp_path / "outside"
    outside.write_text("safe")
    (call.workspace / "link").symlink_to(outside)
    assert "out of the workspace" in await call.refusal("write_file", path="link", content="x")
    assert outside.read_text() == "safe"
    os.mkfifo(call.workspace / "fifo")
    assert "not a regular file" in await call.refusal("write_file", path="fifo", content="x")
    assert "is a directory" in await call.refusal("write_file", path=".", content="x")
    assert "surrogate" in await call.refusal("write_file", path="s", content="\ud800")


async def test_edits_that_can_not_be_made(call: SessionCalls) -> None:
    (call.workspace / "f").write_text("a a\r\n")
    assert "2 times" in await call.refusal("edit_file", path="f", old_text="a", new_text="b")
    assert "exactly" in await call.refusal("edit_file", path="f", old_text="a\n", new_text="b")
    assert "the same" in await call.refusal("edit_file", path="f", old_text="a", new_text="a")
    await call.text("edit_file", path="f", old_text="a", new_text="b", replace_all=True)
    assert (call.workspace / "f").read_bytes() == b"b b\r\n"


@contextmanager
def limiting_memory(memory_bytes: int) -> Iterator[None]:
    """Check the memory of all threads meanwhile."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < memory_bytes
    finally:
        tracemalloc.stop()


async def test_an_edit_is_bounded_before_it_is_made(make_calls: MakeCalls) -> None:
    call = make_calls(limits=ToolLimits(file_bytes=MIB))
    (call.workspace / "f").write_text("a" * 1500)
    edit = {"path": "f", "old_text": "a", "new_text": "b" * 500_000, "replace_all": True}
    with limiting_memory(8 * MIB):
        refusal = await call.refusal("edit_file", **edit)
    assert "750,000,000 bytes; the limit of this tool is 1,048,576" in refusal
    assert (call.workspace / "f").read_text() == "a" * 1500
    await call.text("edit_file", **{**edit, "new_text": "b" * 699})
    assert (call.workspace / "f").stat().st_size == 1500 * 699


@pytest.mark.parametrize("line", [b"\n", b"x\n", b"x" * 300_000 + b"\n", b"x" * 5_000_000])
async def test_a_large_file_is_read_in_little_memory(call: SessionCalls, line: bytes) -> None:
    (call.workspace / "f").write_bytes(line * (15 * MIB // len(line)))
    count = 15 * MIB // len(line) if line.endswith(b"\n") else 1
    for offset in (1, 1 + count // 2, count):
        with limiting_memory(4 * MIB):
            text = await call.text("read_file", path="f", offset=offset, limit=10_000)
        assert text.startswith(f"{offset:6}\t")
    assert count == 1 or text.endswith(f"of {count:,}; that is the end)")
    assert f"only {count:,} lines" in await call.refusal("read_file", path="f", offset=count + 1)


@given(st.binary(max_size=60).map(lambda b: b.translate(None, b"\r")), st.integers(0, 20))
def test_lines_are_those_of_the_whole_content(content: bytes, skipped: int) -> None:
    content = content.replace(b"0", b"\n")
    expected = content.removesuffix(b"\n").split(b"\n") if content else []
    reader = LineReader(io.BytesIO(content), 1000)
    reader.skip(skipped)
    first = next(reader.read(), None)
    assert first == ((expected[skipped], 0) if skipped < len(expected) else None)
    assert reader.count() == len(expected)


async def test_an_edit_that_is_tried_again_is_made_once(call: SessionCalls) -> None:
    (call.workspace / "f").write_text("a")
    edit = call.invocation("edit_file", path="f", old_text="a", new_text="aa")
    first, again = await call.run(edit), await call.run(edit)
    assert first == again
    assert (call.workspace / "f").read_text() == "aa"
    other = await call.run(replace(edit, tool_use_id="toolu_2"))
    assert "2 times" in other.text


@pytest.mark.parametrize("reached", ["staged", "marked"])
async def test_an_edit_cut_by_a_crash_is_made(call: SessionCalls, reached: str) -> None:
    """The files as a crash leaves them before the last step of an edit."""
    path = call.workspace / "f"
    path.write_text("a")
    edit = call.invocation("edit_file", path="f", old_text="a", new_text="aa")
    await call.run(edit)
    path.write_text("a")
    private = call.workspace.parent / ".private"
    [mark] = private.glob("*.made")
    mark.with_suffix(".staged").write_text("half")
    if reached == "staged":
        mark.unlink()
    assert not (await call.run(edit)).is_error
    assert path.read_text() == "aa"
    assert list(private.glob("*.staged")) == []


async def test_edits_at_once_are_all_made(call: SessionCalls) -> None:
    (call.workspace / "f").write_text("".join(f"<{n}>" for n in range(20)))
    edits = [
        call.run(
            replace(
                call.invocation("edit_file", path="f", old_text=f"<{n}>", new_text=f"[{n}]"),
                tool_use_id=str(n),
            )
        )
        for n in range(20)
    ]
    assert not any(outcome.is_error for outcome in await asyncio.gather(*edits))
    assert (call.workspace / "f").read_text() == "".join(f"[{n}]" for n in range(20))


async def test_a_cancelled_write_is_whole(call: SessionCalls) -> None:
    content = "x" * 900_000
    for _ in range(5):
        (call.workspace / "f").write_text("old")
        task = asyncio.create_task(call("write_file", path="f", content=content))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert (call.workspace / "f").read_text() in {"old", content}
    assert list((call.workspace.parent / ".private").glob("write-*")) == []


async def test_listing(call: SessionCalls) -> None:
    await call.bash(
        "mkdir -p src/deep/er .git/x; echo 1 > src/a.py; echo 22 > src/deep/er/b.py; "
        r"ln -s src/a.py link; mkfifo fifo; touch $'odd\xff\nname'; chmod 000 src/deep/er"
    )
    assert (await call.text("list_files")).splitlines() == [
        ".git/",
        "fifo  (not a regular file)",
        "link -> src/a.py",
        "odd�\\nname  (0 bytes)",
        "src/",
        "src/a.py  (2 bytes)",
        "src/deep/",
    ]
    assert await call.text("list_files", path="src/deep", depth=1) == "er/"
    assert await call.text("list_files", glob="*.js") == "(nothing in . matches)"
    assert await call.text("list_files", glob="src/**/a.py") == "src/a.py  (2 bytes)"
    assert "not a directory" in await call.refusal("list_files", path="src/a.py")
    assert "There is no" in await call.refusal("list_files", path="none")


async def test_a_listing_has_an_end(call: SessionCalls) -> None:
    for n in range(1100):
        (call.workspace / f"f{n:04}").touch()
    lines = (await call.text("list_files")).splitlines()
    assert len(lines) == 1001
    assert "more than is shown" in lines[-1]


async def test_a_listing_is_bounded_in_bytes_and_time(
    make_calls: MakeCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = make_calls(limits=ToolLimits(preview_bytes=1000))
    for n in range(20):
        (call.workspace / f"{n:0200}").touch()
    text = await call.text("list_files")
    assert len(text) < 1100
    assert "more than is shown" in text
    whole = await call.text("list_files", glob="*1[0-3]")
    assert len(whole.splitlines()) == 4
    assert "more" not in whole
    monkeypatch.setattr(listing, "_LONGEST_SECONDS", 0.0)
    assert "simpler glob" in await call.text("list_files", glob="**/*0*1*2*")


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*.py", "a/b.py", True),
        ("*.py", "a/b.js", False),
        ("a/*.py", "a/b.py", True),
        ("a/*.py", "a/b/c.py", False),
        ("a/**/*.py", "a/b.py", True),
        ("a/**/*.py", "a/b/c/d.py", True),
        ("**/c.py", "c.py", True),
        ("a/**", "a/b/c", True),
        ("./a/b", "a/b", True),
        ("b/**", "a/b", False),
    ],
)
def test_globs(glob: str, path: str, expected: bool) -> None:  # noqa: FBT001 # a table's column
    assert matches(glob, path.split("/")) is expected


@given(st.text("a*?[]/.", max_size=30), st.lists(st.text("ab.", min_size=1), max_size=5))
def test_any_glob_has_an_answer(glob: str, path: list[str]) -> None:
    assert matches(glob, path) in (True, False)


async def test_a_search(any_call: SessionCalls) -> None:
    await any_call.bash(
        "mkdir -p src .git; echo 'def f(x): return 42' > src/a.py; echo 'F(1)' > src/b.txt; "
        "echo 'f(' > .git/c; printf 'f(\\0' > bin; ln -s /etc/passwd link; mkfifo fifo"
    )
    assert await any_call.text("search_files", pattern=r"f\(\w") == (
        "src/a.py:1:def f(x): return 42"
    )
    found = await any_call.text("search_files", pattern=r"f\(", ignore_case=True)
    assert sorted(line.split(":")[0] for line in found.splitlines()) == ["src/a.py", "src/b.txt"]
    assert await any_call.text("search_files", pattern=r"\d", glob="*.txt") == "src/b.txt:1:F(1)"
    assert await any_call.text("search_files", pattern="42", path="/workspace/src/a.py") == (
        "src/a.py:1:def f(x): return 42"
    )
    assert await any_call.text("search_files", pattern="-v -e root") == "(no matches)"
    assert "The search failed" in await any_call.refusal("search_files", pattern="(")
    assert "There is no" in await any_call.refusal("search_files", pattern="x", path="none")
    assert "out of the" in await any_call.refusal("search_files", pattern="root", path="link")


async def test_a_search_has_an_end(make_calls: MakeCalls) -> None:
    call = make_calls(limits=ToolLimits(search_seconds=1))
    (call.workspace / "many").write_text("match\n" * 100_000)
    lines = (await call.text("search_files", pattern="match")).splitlines()
    assert len(lines) == 200
    (call.workspace / "wide").write_text("y" * 1_000_000)
    assert len(await call.text("search_files", pattern="y", path="wide")) == 500
    # Each line takes grep some milliseconds, until it gives up at longer ones.
    (call.workspace / "slow").write_text(("a" * 20 + "!\n") * 10_000)
    slow = await call.refusal("search_files", pattern="(a+)+$", path="slow")
    assert "took longer than 1 s" in slow
    (call.workspace / "slow").write_text("a" * 100 + "!\n")
    assert "backtracking" in await call.refusal("search_files", pattern="(a+)+$", path="slow")


async def test_an_artifact_is_a_copy(call: SessionCalls) -> None:
    path = call.workspace / "out" / "chart.png"
    path.parent.mkdir()
    path.write_bytes(b"\x89PNG\r\n\x1a\n" * 50_000)
    outcome = await call("save_artifact", path="out/chart.png")
    assert outcome.text == "Saved chart.png (400,000 bytes)."
    [file] = outcome.artifacts
    path.write_bytes(b"changed")
    assert (file.name, file.media_type, file.size_bytes) == ("chart.png", "image/png", 400_000)
    assert hashlib.sha256(file.path.read_bytes()).hexdigest() == file.sha256
    assert file.path.stat().st_mode & 0o077 == 0
    named = await call("save_artifact", path="out/chart.png", name="../\x00a\ud800.html")
    assert (named.artifacts[0].name, named.artifacts[0].media_type) == ("␀a?.html", "text/html")
    assert "is a directory" in await call.refusal("save_artifact", path="out")
