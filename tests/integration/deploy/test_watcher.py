"""The watcher that ends processes whose starter was killed."""

import subprocess
import sys

from deploy import stack


def test_watcher_ends_what_its_starter_left_behind() -> None:
    """Processes listed at the watcher end when the pipe to it closes; reaped ones do not."""
    watcher = stack.ROOT / "deploy" / "watcher.py"
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(50)"])
    reaped = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(50)"])
    try:
        guard = subprocess.Popen([sys.executable, "-I", "-S", watcher], stdin=subprocess.PIPE)
        assert guard.stdin is not None
        guard.stdin.write(f"+{left.pid}\n+{reaped.pid}\n-{reaped.pid}\n".encode())
        guard.stdin.close()
        assert left.wait(timeout=20) < 0
        assert guard.wait(timeout=20) == 0
        assert reaped.poll() is None
    finally:
        for process in (left, reaped):
            process.kill()
            process.wait()
