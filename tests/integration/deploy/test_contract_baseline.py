"""What the contract is compared with, in repositories made by git itself."""

import pathlib
import subprocess

from deploy import check_contract


def git(tree: pathlib.Path, *arguments: str) -> str:
    """Runs git in a tree, independent of the caller's own configuration."""
    identity = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "-c",
        "init.defaultBranch=main",
    ]
    result = subprocess.run(
        ["git", *identity, *arguments], cwd=tree, check=True, capture_output=True, text=True
    )
    return result.stdout.strip()


def commit(tree: pathlib.Path, text: str) -> str:
    """Commits a contract with this text; returns the commit."""
    (tree / "protos").mkdir(exist_ok=True)
    (tree / "protos" / "a.proto").write_text(text)
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", text)
    return git(tree, "rev-parse", "HEAD")


def test_first_commit_has_no_baseline(tmp_path: pathlib.Path) -> None:
    """Nothing is compared where history holds nothing earlier."""
    git(tmp_path, "init", "-q")
    commit(tmp_path, "one")

    assert check_contract.baseline_revision(tmp_path) is None


def test_baseline_on_main_is_the_commit_before(tmp_path: pathlib.Path) -> None:
    """On the main branch a commit is compared with its parent."""
    git(tmp_path, "init", "-q")
    first = commit(tmp_path, "one")
    commit(tmp_path, "two")

    assert check_contract.baseline_revision(tmp_path) == first


def test_baseline_of_a_branch_is_where_it_left_main(tmp_path: pathlib.Path) -> None:
    """A branch is compared as a whole, not commit by commit."""
    git(tmp_path, "init", "-q")
    commit(tmp_path, "one")
    left = commit(tmp_path, "two")
    git(tmp_path, "checkout", "-q", "-b", "topic")
    commit(tmp_path, "three")
    commit(tmp_path, "four")

    assert check_contract.baseline_revision(tmp_path) == left


def test_baseline_holds_the_files_of_that_commit(tmp_path: pathlib.Path) -> None:
    """The compared contract is the committed one, not that of the working tree."""
    git(tmp_path, "init", "-q")
    first = commit(tmp_path, "one")
    commit(tmp_path, "two")

    assert check_contract.write_baseline(tmp_path, first, tmp_path / "before")
    assert (tmp_path / "before" / "protos" / "a.proto").read_text() == "one"
