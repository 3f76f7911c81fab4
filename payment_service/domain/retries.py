"""When a payment without the payer is tried again.

Owns the tenant's retry policy and the rule of the next try. Called by transitions when a
payment fails, and by the use cases. Never tries anything.
"""

from dataclasses import dataclass

from payment_service.domain import model

# Who confirms, as events tell it.
ACTOR = "retry_policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Waits before each try, microseconds, counted from the refusal before it.

    `updated_us` is 0 if the tenant never set one; `version` is that of its newest event, 0 if
    none has told of it.
    """

    tenant_id: str
    delays_us: tuple[int, ...] = ()
    updated_us: int = 0
    version: int = 0


def tries(payment: model.Payment) -> int:
    """Returns how often the policy has tried since a caller confirmed last."""
    found = 0
    for operation in sorted(payment.operations, key=model.turn, reverse=True):
        if operation.kind not in model.INITIAL_KINDS:
            continue
        if operation.cause.actor != ACTOR:
            break
        found += 1
    return found


def next_us(
    payment: model.Payment,
    operation: model.Operation,
    delays_us: tuple[int, ...],
    now_us: int,
) -> int:
    """Returns when a payment is tried again whose *operation* has just failed; 0 for never.

    Only soft refusals of payments off session are. A try of the policy itself that never
    reached the provider is used up, and the next one follows.
    """
    failure = operation.failure
    if not payment.off_session or failure is None:
        return 0
    unsent = failure.kind is model.FailureKind.NOT_SENT and operation.cause.actor == ACTOR
    if not failure.retryable_later and not unsent:
        return 0
    done = tries(payment)
    return now_us + delays_us[done] if done < len(delays_us) else 0
