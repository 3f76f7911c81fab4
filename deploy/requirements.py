"""Prints what one extra of pyproject.toml needs, one requirement per line.

Called while an image is built, so that its dependencies are installed before the code is
copied. Needs nothing but the standard library.
"""

import functools
import pathlib
import re
import sys
import tomllib

PYPROJECT = pathlib.Path(__file__).resolve().parent.parent / "pyproject.toml"
OWN = re.compile(r"payhub\[(?P<extras>[^\]]+)\]")


def requirements(extras: dict[str, list[str]], extra: str) -> list[str]:
    """Returns the requirements of an extra with the project's own extras resolved, sorted.

    Raises:
        KeyError: the extra, or one it names, is not in the project.
    """
    found: set[str] = set()
    for requirement in extras[extra]:
        own = OWN.fullmatch(requirement)
        if own is None:
            found.add(requirement)
            continue
        for name in own["extras"].split(","):
            found.update(requirements(extras, name.strip()))
    return sorted(found)


@functools.cache
def load_extras() -> dict[str, list[str]]:
    """Returns every extra of the project with its requirements as written."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    return {name: list(needs) for name, needs in project["optional-dependencies"].items()}


def main() -> None:
    """Prints the requirements of the extra given as the only argument."""
    extras = load_extras()
    if len(sys.argv) != 2 or sys.argv[1] not in extras:
        sys.exit(f"usage: requirements.py EXTRA, one of: {', '.join(sorted(extras))}")
    print("\n".join(requirements(extras, sys.argv[1])))


if __name__ == "__main__":
    main()
