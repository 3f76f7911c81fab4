"""A `provider_mock` that can't look operations up, and derives its keys from its version.

Owns nothing but the order: break that, then run the simulated provider's own main. Started by
tests in place of the provider: what is sent again through another version is a second effect.
"""

import os
import sys

from payhub.plugin.v1 import capability_pb2

from provider_mock import __main__ as mock
from provider_mock import upstream


def main() -> int:
    """Patches this process and serves until SIGTERM."""
    version = os.environ["PROVIDER_MOCK_VERSION"]
    upstream._key = lambda operation_id: f"{version}/{operation_id}"
    upstream.UpstreamMock.capabilities -= {capability_pb2.CAPABILITY_OPERATION_LOOKUP}
    return mock.main(["serve"])


if __name__ == "__main__":
    sys.exit(main())
