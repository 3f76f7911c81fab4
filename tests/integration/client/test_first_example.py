"""The first example of docs/client.md, run as it is printed."""

import asyncio
import pathlib
import re
import subprocess
import sys

from tests.integration.client import fake_payments

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "client.md"


async def test_the_first_payment_of_the_documentation_works(tmp_path: pathlib.Path) -> None:
    """The first Python example makes a payment when it is pasted into a file and run."""
    example = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "dev.key").write_text("phk_dev\n")
    with fake_payments.serving() as fake:
        (tmp_path / "first.py").write_text(example.replace("127.0.0.1:50051", fake.target))
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "first.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"pay_[0-9a-f]{32} STATE_SUCCEEDED\n", done.stdout)
