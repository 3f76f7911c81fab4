"""How an operation fails where its scenario asks for it.

Owns turning each fault into what the caller meets. Called by the provider,
before and after the ledger's commit. Never touches the ledger.
"""

import os
import signal
from typing import NoReturn

from provider_mock import faults, scenarios
from provider_sdk import errors

RETRY_AFTER_S = 1.0


def before_commit(fault: scenarios.Fault) -> NoReturn:
    """Fails as asked for with nothing recorded."""
    match fault:
        case scenarios.Fault.NOT_SENT:
            raise errors.Unreachable("the simulated bank can't be reached")
        case scenarios.Fault.RATE_LIMITED:
            raise errors.RateLimited(
                "the simulated bank limits the rate",
                retry_after_s=RETRY_AFTER_S,
                upstream_code="mock_rate_limited",
            )
        case scenarios.Fault.CREDENTIALS_REJECTED:
            raise errors.CredentialsRejected(
                "the simulated bank refuses the key", upstream_code="mock_bad_key"
            )
        case scenarios.Fault.CRASH_BEFORE:
            _crash()
        case _:
            raise faults.LostAnswer(fault)


def after_commit(fault: scenarios.Fault) -> NoReturn:
    """Fails as asked for although it took effect."""
    match fault:
        case scenarios.Fault.NO_ANSWER:
            raise errors.NoAnswer("the simulated bank gave no answer")
        case scenarios.Fault.BUG:
            raise RuntimeError("the scenario asks for a bug")
        case scenarios.Fault.CRASH_AFTER:
            _crash()
        case _:
            raise faults.LostAnswer(fault)


def _crash() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL came back")
