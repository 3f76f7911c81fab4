"""Rules of the folders in memory that a test run keeps its files in."""

import pathlib
import subprocess

from tests import in_memory


def test_only_folders_whose_owner_has_ended_are_left_behind(tmp_path: pathlib.Path) -> None:
    """Neither a living run's files nor what bears no owner's name are taken for leftovers."""
    process = subprocess.Popen(["true"])
    process.wait()
    for name in ("run-mine", "run-left", "run-unknown", "other-left"):
        (tmp_path / name).mkdir()
    in_memory.own(tmp_path / "run-mine")
    for name in ("run-left", "other-left"):
        (tmp_path / name / "owner.pid").write_text(f"{process.pid}\n")

    assert list(in_memory.left(tmp_path, "run-")) == [tmp_path / "run-left"]
