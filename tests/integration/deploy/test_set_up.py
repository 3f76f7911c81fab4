"""How `make` comes to an environment."""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
# A Python without pip, as an interrupted set-up leaves it, and one that can make a whole one.
HALF = '#!/bin/sh\ntest "$2" != pip\n'
GOOD = """#!/bin/sh
echo "$@" >> said
if [ "$2" = venv ]; then printf '#!/bin/sh\\necho "$@" >> said\\n' > "$3/bin/python"; fi
"""


def test_an_environment_that_was_left_half_is_made_whole(tmp_path: pathlib.Path) -> None:
    """Interrupted while it made its environment, make makes it at the next try, and leaves a
    whole one alone.
    """
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    inside = tmp_path / ".venv" / "bin" / "python"
    for path, script in ((inside, HALF), (tmp_path / "python", GOOD)):
        path.write_text(script)
        path.chmod(0o755)

    # Of a make that runs the tests.
    env = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFL"))}

    def made() -> int:
        for name in ("pyproject.toml", "constraints.txt"):
            (tmp_path / name).write_text("")
        (tmp_path / ".venv" / ".ready").unlink(missing_ok=True)
        done = subprocess.run(
            ["make", "setup", f"PYTHON={tmp_path / 'python'}"],
            cwd=tmp_path, env=env, capture_output=True, text=True, timeout=50,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        said = (tmp_path / "said").read_text()
        assert "-m pip install" in said
        return said.count("-m venv .venv")

    assert made() == 1
    assert made() == 1
