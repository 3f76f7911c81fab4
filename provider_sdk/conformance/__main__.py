"""Entry point of `payhub-conform` and `python -m provider_sdk.conformance`.

Owns what is said where the suite's extra is not installed. Never checks anything.
"""

import sys


def main() -> int:
    """Runs the command and returns its exit status."""
    try:
        from provider_sdk.conformance import command
    except ModuleNotFoundError as missing:
        text = (
            "payhub-conform needs {}, which its extra installs: pip install 'payhub[conformance]'\n"
        )
        sys.stderr.write(text.format(missing.name))
        return 2
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
