"""Entry point of payctl, the command line of Payhub's operators.

Owns what must happen before gRPC is imported. Called by people and scripts.
"""

import io
import os
import sys


def main() -> None:
    """Run payctl."""
    # gRPC reads this on import. Without it, it writes each closed connection to stderr,
    # where payctl says it in its own words.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # What was paid is told whatever the encoding of the terminal lacks.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        from payctl import commands
    except ModuleNotFoundError as missing:
        # With another extra of payhub the command is there, and what it needs is not.
        sys.exit(
            f"payctl needs {missing.name}, which its extra installs: pip install 'payhub[payctl]'"
        )
    commands.app(prog_name="payctl")


if __name__ == "__main__":
    main()
