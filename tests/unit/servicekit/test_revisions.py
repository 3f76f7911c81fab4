"""Version files read without running them."""

import pathlib

import pytest

from servicekit.storage import revisions


def folder(tmp_path: pathlib.Path, files: dict[str, str]) -> pathlib.Path:
    """Makes a folder of version files."""
    (tmp_path / "versions").mkdir()
    for name, text in files.items():
        (tmp_path / "versions" / name).write_text(text)
    return tmp_path


def test_the_newest_revision_is_the_one_that_none_follows(tmp_path: pathlib.Path) -> None:
    """Branches that were merged count, whatever the files are called; other files do not."""
    location = folder(
        tmp_path,
        {
            "z.py": "revision = '1'\ndown_revision = None\n",
            "b.py": "import nothing.there\nrevision: str = '2a'\ndown_revision: str | None = '1'\n",
            "c.py": "revision = '2b'\ndown_revision = '1'\n",
            "a.py": "revision = '3'\ndown_revision = ('2a', '2b')\nother = open\n",
            "__init__.py": "",
            "notes.txt": "revision = '4'",
            ".#a.py": "revision = '5'\ndown_revision = '3'\n",
        },
    )
    assert revisions.head_revision(location) == "3"
    assert revisions.known(location) == {"1": (), "2a": ("1",), "2b": ("1",), "3": ("2a", "2b")}


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({}, "holds no migration"),
        ({"a.py": "revision = 'x'", "b.py": "revision = 'y'"}, r"2 newest revisions: \['x', 'y'\]"),
        ({"a.py": "revision = 'x'", "b.py": "revision = 'x'"}, "b.py: there is another revision x"),
        ({"a.py": "down_revision = None"}, "a.py: .* have to be strings"),
        ({"a.py": "revision = str(1)"}, "a.py: `revision` has to be a literal"),
    ],
)
def test_a_folder_without_one_newest_revision_is_an_error(
    tmp_path: pathlib.Path, files: dict[str, str], text: str
) -> None:
    """It names the file and what is wrong with it."""
    with pytest.raises(ValueError, match=text):
        revisions.head_revision(folder(tmp_path, files))


def test_a_database_that_is_not_there_has_no_revision(tmp_path: pathlib.Path) -> None:
    """Looking makes no file."""
    assert revisions.applied(f"sqlite:///{tmp_path}/x.db") == set()
    assert list(tmp_path.iterdir()) == []
