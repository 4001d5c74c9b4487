from pathlib import Path

import pytest

from domain.workspaces.directories import problem


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "open"
    (root / "project").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    return root


def test_a_directory_below_a_listed_one_is_fine(root: Path) -> None:
    assert problem(str(root / "project"), [root]) is None
    assert problem(str(root), [root]) is None
    assert problem(str(root / "not" / "there" / "yet"), [root]) is None


def test_a_listed_link_stands_for_where_it_leads(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    assert problem(str(root / "project"), [link]) is None
    assert problem(str(link / "project"), [root]) is None


@pytest.mark.parametrize(
    "path", ["project", "{root}/../secret", "{root}-other", "/", "/etc", "{root}\0", "{root}/out"]
)
def test_nothing_else_is(root: Path, path: str) -> None:
    (root / "out").symlink_to(root.parent / "secret")
    assert problem(path.format(root=root), [root])


def test_circular_links_are_refused(root: Path) -> None:
    (root / "circle").symlink_to(root / "circle")
    assert problem(str(root / "circle" / "x"), [root])


def test_a_file_is_no_directory(root: Path) -> None:
    (root / "file").write_text("x")
    assert "file" in (problem(str(root / "file"), [root]) or "")


def test_without_a_list_the_setting_is_named(root: Path) -> None:
    assert "PERDURE_WORKING_DIRECTORIES" in (problem(str(root), []) or "")
