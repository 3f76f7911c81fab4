"""`python -m payment_service` as an operator starts it, to its end.

Owns running it with nothing of ours inherited. Called by the tests of its commands and of what
it refuses; services that stay are started elsewhere.
"""

import os
import subprocess
import sys
from collections.abc import Mapping

from deploy import stack


def run(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m payment_service` and returns what came of it."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(stack.PREFIXES)}
    return subprocess.run(
        [sys.executable, "-m", "payment_service", *arguments],
        cwd=stack.ROOT,
        env={**inherited, **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
