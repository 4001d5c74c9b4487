"""`perdure demo` on the environment that is there, and `make demo` from a fresh clone."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.documents import REPOSITORY
from tests.stack import PERDURE, environment

ORDINARY_USER = 65_531
DEMO_SECONDS = 500
"""It starts a stack and two more workers: half a minute on two free cores."""


def check_output(output: str) -> None:
    """What the demonstration has to have shown."""
    assert "the scripted model answers" in output
    for sign in (
        "the worker dies in the middle of the model call",
        "the worker dies in the middle of the command",
        "⚙ bash",
        "✓ bash",
        "you answer: Saturday",
        "subtask completed",
        "completed ·",
        "the worker was killed twice, and nothing was called twice",
        "1 had no answer when the worker died",
        "that was interrupted began 1 time",
    ):
        assert sign in output, output


def list_left_running(place: Path) -> list[str]:
    """Command lines of processes that work on or from files below `place`."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if str(place) in " ".join(process.info["cmdline"] or ())
    ]


@pytest.mark.timeout(2 * DEMO_SECONDS)
def test_the_demo_runs_and_leaves_nothing_but_its_report(tmp_path: Path) -> None:
    result = subprocess.run(
        [PERDURE, "demo"],
        cwd=tmp_path,
        env=environment(tmp_path / "home", TMPDIR=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    check_output(result.stdout)
    [report] = tmp_path.iterdir()
    assert "Demo: a small tea party" in report.read_text()
    assert list_left_running(tmp_path) == []


@pytest.fixture
def clone() -> Iterator[Path]:
    """A clone in a place that an ordinary user reaches; it owns all of it."""
    place = Path(tempfile.mkdtemp(prefix="perdure-clone-"))
    place.chmod(0o755)
    git = shutil.which("git") or pytest.fail("git is missing")
    subprocess.run([git, "clone", "-q", REPOSITORY, place / "perdure"], check=True)
    (place / "home").mkdir()
    if os.geteuid() == 0:
        for path in (place, *place.rglob("*")):
            os.chown(path, ORDINARY_USER, ORDINARY_USER, follow_symlinks=False)
    yield place
    shutil.rmtree(place)


def reachable_python() -> str:
    """An interpreter that the ordinary user can run: this one may be in a private home."""
    candidates = [os.path.realpath(sys.executable), "/usr/local/bin/python3", "/usr/bin/python3"]
    for python in candidates:
        check = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {sys.version_info[:2]})"
        # By a shell, as in `make`: what starts for setpriv itself need not be what was named.
        asked = [*as_ordinary_user(), "/bin/sh", "-c", '"$0" -c "$1"', python, check]
        if subprocess.run(asked, check=False, stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return pytest.fail(f"No Python for an ordinary user among {candidates}.")


def as_ordinary_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    user = str(ORDINARY_USER)
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_fresh_clone_needs_one_command_and_no_root(clone: Path) -> None:
    kept = environment(clone / "home", HOME=str(clone / "home"), TMPDIR=str(clone / "home"))
    for name in ("PERDURE_HOME", "PYTHONPATH", "VIRTUAL_ENV"):
        kept.pop(name, None)
    result = subprocess.run(
        [*as_ordinary_user(), "make", "demo", f"PYTHON={reachable_python()}"],
        cwd=clone / "perdure",
        env=kept,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    check_output(result.stdout)
    assert list_left_running(clone) == []
    status = ["git", "-C", str(clone / "perdure"), "status", "--porcelain"]
    assert subprocess.check_output([*as_ordinary_user(), *status]) == b""
