"""Serves one mutant: `python -m tests.mutants.serve NAME`.

Owns nothing but the order: break one rule, then run the simulated provider's
own main. Started by the mutants' runner in place of the provider.
"""

import sys

from provider_mock import __main__ as mock
from tests.mutants import catalog


def main() -> int:
    """Patches this process and serves until SIGTERM."""
    catalog.everything()[sys.argv[1]].patch()
    return mock.main(["serve"])


if __name__ == "__main__":
    sys.exit(main())
