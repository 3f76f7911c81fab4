"""Rules of what an image holds: each process starts with its own extra and nothing more."""

import importlib.metadata
import re
import subprocess
import sys

import pytest
from packaging import requirements as pep508

from deploy import requirements, stack

# Refuses to import what the image would not hold, then imports the process.
PROBE = """
import runpy, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)

BLOCKED = set(sys.argv[2].split(","))
sys.meta_path.insert(0, Missing())
sys.argv = [sys.argv[1], "--help"]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def normal(name: str) -> str:
    """Returns a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(needs: list[str]) -> set[str]:
    """Returns the distributions that are installed for these requirements, theirs included."""
    found: set[str] = set()
    queue = [(pep508.Requirement(need), "") for need in needs]
    while queue:
        need, extra = queue.pop()
        if need.marker is not None and not need.marker.evaluate({"extra": extra}):
            continue
        name = normal(need.name)
        if name in found and not need.extras:
            continue
        found.add(name)
        texts = importlib.metadata.requires(need.name) or []
        for inner in ("", *need.extras):
            queue += [(pep508.Requirement(text), inner) for text in texts]
    return found


@pytest.mark.parametrize("module", stack.NAMES)
def test_a_process_needs_only_its_own_extra(module: str) -> None:
    """A process imports nothing that its extra does not install, nor another deployable."""
    extra = module.replace("_", "-")
    inside = closure(requirements.requirements(requirements.load_extras(), extra))
    blocked = {
        package
        for package, owners in importlib.metadata.packages_distributions().items()
        if not {normal(owner) for owner in owners} & (inside | {"payhub"})
    }
    blocked |= set(stack.NAMES) - {module} | {"deploy", "examples", "payctl", "tests"}

    result = subprocess.run(
        [sys.executable, "-c", PROBE, module, ",".join(blocked)],
        cwd=stack.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert result.returncode == 0, result.stderr[-2000:]
