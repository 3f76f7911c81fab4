"""Ends processes whose starter is gone.

Started by `deploy.stack` as a plain script with a pipe on standard input, which carries
`+pid` for each process started and `-pid` for each one reaped. The pipe closes when the
starter ends, however it ends; whatever is still listed is then terminated, and killed if
it does not go. Never imports anything of the project.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

GRACE_S = 5.0
POLL_S = 0.05


def send(pids: Iterable[int], sig: int) -> set[int]:
    """Sends a signal to processes, 0 to only look; returns those that exist."""
    found = set()
    for pid in pids:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            continue
        found.add(pid)
    return found


def main() -> None:
    """Reads the list until the pipe closes, then ends what is left on it."""
    pids: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line.startswith("+"):
            pids.add(pid)
        else:
            pids.discard(pid)
    pids = send(pids, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while pids and time.monotonic() < deadline:
        time.sleep(POLL_S)
        pids = send(pids, 0)
    send(pids, signal.SIGKILL)


if __name__ == "__main__":
    main()
