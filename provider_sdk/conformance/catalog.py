"""Every check there is.

Owns the list of modules that define checks, and their order. Called by `runner`
and the commands. Never decides which of them apply.
"""

import functools

from provider_sdk.conformance import (
    checks,
    checks_answers,
    checks_capabilities,
    checks_ceilings,
    checks_config,
    checks_configure,
    checks_faults,
    checks_fuzz,
    checks_handshake,
    checks_health,
    checks_idempotency,
    checks_later,
    checks_load,
    checks_logs,
    checks_lookup,
    checks_mirrored,
    checks_money,
    checks_registration,
    checks_requests,
    checks_secrets,
    checks_stopping,
    checks_tls,
    checks_transport,
    checks_webhooks,
)

_MODULES = (
    checks_tls,
    checks_transport,
    checks_handshake,
    checks_capabilities,
    checks_config,
    checks_configure,
    checks_secrets,
    checks_health,
    checks_stopping,
    checks_money,
    checks_ceilings,
    checks_requests,
    checks_idempotency,
    checks_answers,
    checks_faults,
    checks_lookup,
    checks_load,
    checks_fuzz,
    checks_logs,
    checks_registration,
    checks_webhooks,
    checks_mirrored,
    checks_later,
)


@functools.cache
def everything() -> tuple[checks.Check, ...]:
    """Returns all checks in the order in which they run."""
    found = [check for module in _MODULES for check in checks.of(module)]
    ids = [check.check_id for check in found]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    assert not twice, f"checks defined twice: {twice}"
    return tuple(sorted(found, key=lambda check: check.order))


def ids() -> frozenset[str]:
    """Returns the id of every check."""
    return frozenset(check.check_id for check in everything())


def select(wanted: frozenset[str]) -> tuple[checks.Check, ...]:
    """Returns the checks with these ids, or with these numbers; all if none is given."""
    if not wanted:
        return everything()
    return tuple(check for check in everything() if {check.check_id, str(check.number)} & wanted)


def unknown(wanted: frozenset[str]) -> list[str]:
    """Returns what of *wanted* names no check."""
    known = ids() | {str(check.number) for check in everything()}
    return sorted(wanted - known)
