"""What a provider told by webhook, and when it is tried again.

Owns the states of a webhook and the schedule of tries. Called by the use cases of webhooks.
Never looks into a body: the provider's plugin does.
"""

import enum
from dataclasses import dataclass, replace

_MINUTE_US = 60_000_000
# Wait before each further try; after the last one an operator decides.
WAITS_US = (
    5_000_000,
    30_000_000,
    2 * _MINUTE_US,
    10 * _MINUTE_US,
    60 * _MINUTE_US,
    6 * 60 * _MINUTE_US,
    24 * 60 * _MINUTE_US,
)
DETAIL_CHARS_MAX = 256


class State(enum.IntEnum):
    """Where a webhook stands; see `payhub.admin.v1.InboundWebhook.State`."""

    RECEIVED = 1
    APPLIED = 2
    DUPLICATE = 3
    IGNORED = 4
    REJECTED = 5
    PARKED = 6
    FAILED = 7


OPEN = frozenset({State.RECEIVED, State.PARKED})
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One HTTP request of a provider.

    `told` is what its plugin made of it (a serialised VerifyWebhookResponse), empty until
    its signature was checked. Of a rejected one neither headers nor body are kept.
    `next_attempt_us` is when it is tried next, 0 for never.
    """

    id: str
    provider: str
    binding_id: str
    tenant_id: str
    state: State
    headers: Headers = ()
    body: bytes = b""
    body_bytes: int = 0
    told: bytes = b""
    event_type: str = ""
    provider_event_id: str = ""
    attempts: int = 0
    next_attempt_us: int = 0
    detail: str = ""
    http_status: int = 0
    entity_ids: tuple[str, ...] = ()
    received_us: int
    updated_us: int

    @property
    def is_verified(self) -> bool:
        """Whether its signature was found right."""
        return bool(self.told)


def rejected(webhook: Webhook, http_status: int, detail: str, now_us: int) -> Webhook:
    """Returns a webhook that is not believed; only that it came is kept."""
    return replace(
        webhook,
        state=State.REJECTED,
        headers=(),
        body=b"",
        http_status=http_status,
        detail=detail[:DETAIL_CHARS_MAX],
        next_attempt_us=0,
        updated_us=now_us,
    )


def ended(webhook: Webhook, state: State, now_us: int, entity_ids: tuple[str, ...] = ()) -> Webhook:
    """Returns a webhook that is done with."""
    return replace(
        webhook,
        state=state,
        detail="",
        next_attempt_us=0,
        entity_ids=entity_ids or webhook.entity_ids,
        updated_us=now_us,
    )


def put_off(webhook: Webhook, detail: str, now_us: int) -> Webhook:
    """Returns a webhook that could not be applied: parked, or given up after the last try."""
    if webhook.attempts > len(WAITS_US):
        state, next_us = State.FAILED, 0
    else:
        state = State.PARKED
        next_us = now_us + WAITS_US[max(webhook.attempts, 1) - 1]
    return replace(
        webhook,
        state=state,
        detail=detail[:DETAIL_CHARS_MAX],
        next_attempt_us=next_us,
        updated_us=now_us,
    )
