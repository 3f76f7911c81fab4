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


# The same for a library: imports each of its modules.
LIBRARY_PROBE = (
    PROBE.partition("sys.argv = ")[0]
    + """
import importlib, pkgutil

package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    importlib.import_module(module.name)
"""
)


def run(probe: str, module: str, extra: str, forbidden: set[str]) -> None:
    """Runs a probe where only an extra's distributions can be imported."""
    inside = closure(requirements.requirements(requirements.load_extras(), extra))
    blocked = forbidden | {
        package
        for package, owners in importlib.metadata.packages_distributions().items()
        if not {normal(owner) for owner in owners} & (inside | {"payhub"})
    }

    result = subprocess.run(
        [sys.executable, "-c", probe, module, ",".join(blocked)],
        cwd=stack.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.parametrize("module", stack.KNOWN)
def test_a_process_needs_only_its_own_extra(module: str) -> None:
    """A process imports nothing that its extra does not install, nor another deployable."""
    others = set(stack.KNOWN) - {module} | {"deploy", "examples", "payctl", "tests"}
    run(PROBE, module, module.replace("_", "-"), others)


@pytest.mark.parametrize("name", ["audit_log", "email_notifier"])
def test_a_subscriber_needs_only_its_own_extra(name: str) -> None:
    """The subscriber imports nothing that its extra does not install, nor a service."""
    others = {*stack.KNOWN, "provider_sdk", "payctl", "deploy", "examples", "tests"}
    run(PROBE, f"subscribers.{name}", name.replace("_", "-"), others)


def test_the_client_needs_only_its_own_extra() -> None:
    """No module of payhub_client imports what its extra does not install, nor a service."""
    others = {*stack.NAMES, "provider_sdk", "payctl", "deploy", "examples", "tests"}
    run(LIBRARY_PROBE, "payhub_client", "client", others)


def test_payctl_needs_only_its_own_extra() -> None:
    """The command line imports nothing that its extra does not install, nor a service."""
    others = {*stack.NAMES, "provider_sdk", "deploy", "examples", "tests"}
    run(PROBE, "payctl", "payctl", others)


@pytest.mark.parametrize(
    ("module", "extra"), [("payctl", "payctl"), ("provider_sdk.conformance", "conformance")]
)
def test_a_command_without_its_extra_says_what_to_install(module: str, extra: str) -> None:
    """Whoever installed another part of payhub is told in a line, not by a traceback."""
    with pytest.raises(AssertionError) as failed:
        run(PROBE, module, "client", set())
    assert f"payhub[{extra}]" in str(failed.value)
    assert "Traceback" not in str(failed.value)
