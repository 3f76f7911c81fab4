"""Places where a test may kill the process, to prove what survives.

Owns the variable `PAYHUB_FAIL_POINTS`: a comma-separated list of
`name[:nth][=kill]`. Called at commit and call boundaries, named
`<process>.<boundary>`. Does nothing, at the cost of one lookup, unless named.
"""

import os
import signal
import sys
from collections.abc import Mapping

VARIABLE = "PAYHUB_FAIL_POINTS"

_armed: dict[str, int] | None = None


def parse(text: str) -> dict[str, int]:
    """Return the hits left per name; ValueError says which entry is malformed."""
    armed: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        point, _, action = entry.partition("=")
        name, _, nth = point.partition(":")
        if action not in ("", "kill") or not name or (nth and not nth.isdecimal()):
            raise ValueError(f"{VARIABLE}: {entry!r} is not name[:nth][=kill]")
        armed[name] = max(int(nth or 1), 1)
    return armed


def arm(env: Mapping[str, str] | None = None) -> list[str]:
    """Read the variable again and return the armed names; ValueError when malformed."""
    global _armed
    _armed = parse((os.environ if env is None else env).get(VARIABLE, ""))
    return sorted(_armed)


def hit(name: str) -> None:
    """Kill this process with SIGKILL when `name` is armed and this is its nth hit."""
    if _armed is None:
        arm()
    if not _armed or name not in _armed:
        return
    _armed[name] -= 1
    if _armed[name] == 0:
        sys.stderr.write(f"fail point {name}: killing process {os.getpid()}\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
