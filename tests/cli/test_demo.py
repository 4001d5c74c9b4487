"""`perdure demo` where nothing runs."""

import tempfile
from pathlib import Path

import psutil

from tests.stack import perdure


def test_the_demonstration_brings_its_own_stack_and_leaves_only_the_report(tmp_path: Path) -> None:
    before = set(Path(tempfile.gettempdir()).glob("perdure-demo-*"))
    result = perdure(tmp_path / "home", "demo")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "completed" in result.stdout
    assert "you answer: Saturday" in result.stdout
    left = set(Path(tempfile.gettempdir()).glob("perdure-demo-*")) - before
    assert [path.suffix for path in left] == [".html"]
    report = left.pop()
    assert str(report) in result.stdout
    assert "tea party" in report.read_text()
    report.unlink()
    commands = [" ".join(process.info["cmdline"] or ()) for process in _processes()]
    assert [command for command in commands if "perdure-demo-" in command] == []


def _processes() -> list[psutil.Process]:
    return list(psutil.process_iter(["cmdline"]))
