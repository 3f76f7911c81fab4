"""How processes end: with every line written, or at once where a test wants it."""

import json
import subprocess
import sys

from servicekit import failpoints


def test_no_line_is_lost_at_exit_and_order_is_kept() -> None:
    """A process that ends normally has written everything, from every thread."""
    script = (
        "import threading\n"
        "from servicekit import logs\n"
        "logs.configure(service='x')\n"
        "log = logs.get_logger('a')\n"
        "def work(name):\n"
        "    for number in range(1000):\n"
        "        log.info('x', thread_name=name, number=number)\n"
        "threads = [threading.Thread(target=work, args=(name,)) for name in 'ab']\n"
        "[thread.start() for thread in threads]\n"
        "work('main')\n"
        "[thread.join() for thread in threads]\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    for name in ("a", "b", "main"):
        numbers = [line["number"] for line in lines if line["thread_name"] == name]
        assert numbers == list(range(1_000))


def test_a_fail_point_kills_at_its_nth_hit() -> None:
    """SIGKILL, not an exception: nothing gets a chance to clean up."""
    script = (
        "from servicekit import failpoints\n"
        "for number in (1, 2, 3):\n"
        "    failpoints.hit('x.other')\n"
        "    failpoints.hit('x.boundary')\n"
        "    print(number, flush=True)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={failpoints.VARIABLE: "x.boundary:3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (-9, "1\n2\n")
