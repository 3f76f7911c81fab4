"""Checks the contract: generated code is current, lint, format, and no breaking change.

Called by `make check`. The image that buf looks at holds imported files too, so only
findings below `payhub/` count. Breaking changes are looked for against the commit before:
the parent on the main branch, else where the branch left it.
"""

import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAIN_BRANCHES = ("main", "origin/main")
OURS = "payhub/"


def run(*command: str, cwd: pathlib.Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end without looking at its exit code."""
    # The environment's own tools come first, buf among them.
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": path},
    )


def write_image(tree: pathlib.Path, image: pathlib.Path) -> list[str]:
    """Writes the contract of a source tree as a descriptor set; returns problems."""
    result = run(sys.executable, "protos/generate.py", "--image", str(image), cwd=tree)
    return [] if result.returncode == 0 else [result.stdout + result.stderr]


def findings(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Returns what buf found in our own files, or its whole output if it did not run."""
    lines = result.stdout.splitlines()
    ours = [line for line in lines if line.startswith(OURS)]
    if result.returncode != 0 and not lines:
        return [result.stderr.strip() or f"buf ended with {result.returncode}"]
    return ours


def baseline_revision(tree: pathlib.Path) -> str | None:
    """Returns the commit to compare with, or None if the history does not hold one."""
    head = run("git", "rev-parse", "--verify", "--quiet", "HEAD", cwd=tree).stdout.strip()
    for branch in MAIN_BRANCHES:
        base = run("git", "merge-base", "HEAD", branch, cwd=tree).stdout.strip()
        if base and base != head:
            return base
    parent = run("git", "rev-parse", "--verify", "--quiet", "HEAD~1", cwd=tree).stdout.strip()
    return parent or None


def write_baseline(tree: pathlib.Path, revision: str, target: pathlib.Path) -> bool:
    """Writes the contract's sources as they were; False if that commit had none."""
    archive = subprocess.run(
        ["git", "archive", revision, "protos"], cwd=tree, capture_output=True, check=False
    )
    if archive.returncode != 0:
        return False
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        # Python before 3.11.4 has no filters; what git made needs none.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(target)
    # Today's generator, so that both images are made the same way.
    shutil.copy(ROOT / "protos" / "generate.py", target / "protos" / "generate.py")
    return True


def breaking(tree: pathlib.Path, image: pathlib.Path, scratch: pathlib.Path) -> list[str]:
    """Returns the changes that break callers, compared with the baseline commit."""
    revision = baseline_revision(tree)
    if revision is None or not write_baseline(tree, revision, scratch / "before"):
        print("contract: no earlier commit to compare with, breaking changes not checked")
        return []
    before = scratch / "before.binpb"
    return write_image(scratch / "before", before) or findings(
        run("buf", "breaking", str(image), "--against", str(before), "--config", "buf.yaml")
    )


def check(tree: pathlib.Path = ROOT) -> list[str]:
    """Returns every problem of the contract in a source tree."""
    current = run(sys.executable, "protos/generate.py", "--check", cwd=tree)
    problems = [] if current.returncode == 0 else [current.stderr.strip()]
    layout = run("buf", "format", "protos", "--diff", "--exit-code", cwd=tree)
    if layout.returncode != 0:
        problems.append(f"run `buf format protos -w`:\n{layout.stdout}{layout.stderr}")
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        image = scratch / "contract.binpb"
        problems += write_image(tree, image) or [
            *findings(run("buf", "lint", str(image), "--config", "buf.yaml")),
            *breaking(tree, image, scratch),
        ]
    return problems


def main() -> None:
    """Prints every problem and exits 1 if there is one."""
    problems = check()
    if problems:
        sys.exit("\n".join(["contract:", *problems]))
    print("contract: current, linted, formatted")


if __name__ == "__main__":
    main()
