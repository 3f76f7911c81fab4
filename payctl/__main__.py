"""Entry point of payctl, the command line of Payhub's operators.

Owns what must happen before gRPC is imported. Called by people and scripts.
"""

import os


def main() -> None:
    """Run payctl."""
    # gRPC reads this on import. Without it, it writes each closed connection to stderr,
    # where payctl says it in its own words.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from payctl import commands

    commands.app(prog_name="payctl")


if __name__ == "__main__":
    main()
