"""What every use case needs, and nothing else.

Owns `Context`, made once by the composition root, and `Caller`, made per call
by the API or by what begins a change of its own accord. Given to every use case. Never a
global.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from payment_service.domain import model
from payment_service.provider_client import fleet
from payment_service.usecases import catalog
from payment_service.usecases import standing as standing_
from payment_service.usecases import witness as witnesses
from servicekit import clock as clocks
from servicekit import storage, tasks, tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When open operations are looked at again, seconds: dense at first, then sparse.

    The wait is as long as the operation has been in its state, from `*_first_s` up to
    `longest_s`, and no longer than it would be if each look had doubled it. `grace_s` after
    its `not_after` an operation still in flight counts as abandoned. For `lease_s` nobody
    else looks at what one process looks at.
    """

    doubt_first_s: float = 1.0
    pending_first_s: float = 10.0
    longest_s: float = 3600.0
    grace_s: float = 2.0
    lease_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything outside that use cases touch.

    `provider_timeout_s` is the operator's limit for one provider call;
    `outbox_written` wakes the relay; `witness` sees what was committed; `standing` says whether
    anything may be done now; `dialer` opens channels to other processes.
    """

    db: storage.Database
    providers: fleet.Fleet
    catalog: catalog.Catalog
    clock: clocks.Clock
    new_id: Callable[[str], str]
    tracker: tasks.Tracker
    provider_timeout_s: float
    schedule: Schedule = Schedule()
    outbox_written: asyncio.Event = field(default_factory=asyncio.Event)
    witness: witnesses.Witness = field(default_factory=witnesses.Witness)
    standing: standing_.Standing = field(default_factory=standing_.Standing)
    dialer: tls.Dialer = tls.IN_CLEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `actor` is `key:<id>` for an API key."""

    tenant_id: str
    actor: str
    request_id: str

    def cause(self, idempotency_key: str) -> model.Cause:
        """Returns what events of this call say of their cause."""
        return model.Cause(
            correlation_id=self.request_id, idempotency_key=idempotency_key, actor=self.actor
        )


def next_check_us(schedule: Schedule, operation: model.Operation, now_us: int) -> int:
    """Returns when the resolver looks at *operation* next; 0 for never."""
    match operation.state:
        case model.OperationState.IN_FLIGHT:
            return operation.not_after_us + round(schedule.grace_s * 1_000_000)
        case model.OperationState.IN_DOUBT:
            if operation.failure is not None:
                # An answer contradicted the question: an operator decides.
                return 0
            first_s = schedule.doubt_first_s
        case model.OperationState.PENDING | model.OperationState.REQUIRES_ACTION:
            first_s = schedule.pending_first_s
        case _:
            return 0
    # As long again as it has been so, which doubles with every look; looks that callers asked
    # for between, however many, make none of them later, and nor does a time of no looks at all.
    age_s = (now_us - operation.updated_us) / 1_000_000
    looked_s = first_s * 2.0 ** min(max(operation.attempts - 1, 0), 30)
    wait_s = min(max(age_s, first_s), looked_s, schedule.longest_s)
    return now_us + round(wait_s * 1_000_000)


def fresh_ids(new_id: Callable[[str], str]) -> Callable[[], Callable[[str], str]]:
    """Returns what each run of a transaction takes its ids from.

    Ids are minted as they are needed, and a repeated run gets the same again, each prefix its
    own: it may go another way than the run before.
    """
    minted: dict[str, list[str]] = {}

    def again() -> Callable[[str], str]:
        taken: dict[str, int] = {}

        def take(prefix: str) -> str:
            own, number = minted.setdefault(prefix, []), taken.get(prefix, 0)
            if number == len(own):
                own.append(new_id(prefix))
            taken[prefix] = number + 1
            return own[number]

        return take

    return again
