"""Rules the suite does not look at yet.

Owns their names, so that a report never looks more complete than it is. Read by
`catalog`.
"""

from provider_sdk.conformance import checks

_LISTING = "transaction listing is not part of the contract yet"
_HOOKS = "hooks are not part of the contract yet"

LISTING = checks.later(
    number=60,
    title="Transactions are listed page by page, each of one's own exactly once.",
    reason=_LISTING,
)
PURE_HOOKS = checks.later(
    number=71,
    title="EnrichOperation and GuardOperation are pure.",
    reason=_HOOKS,
)
GUARD_DIGEST = checks.later(
    number=72,
    title="A guard echoes the digest it judged, names a reason and answers in time.",
    reason=_HOOKS,
)
HOOK_ATTRIBUTES = checks.later(
    number=73,
    title="Hooks write attributes in their own namespace only.",
    reason=_HOOKS,
)
