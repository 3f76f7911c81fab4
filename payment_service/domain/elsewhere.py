"""What others did to a payment: refunds in the provider's dashboard, disputes of banks.

Owns the amounts that Payhub did not move and their events. Called by the use cases inside
the transaction that holds the payment's row. Our own operations and their ceilings stay as
they are: what others took only counts against what is left to refund.
"""

from dataclasses import dataclass, replace

from payment_service.domain import changes, model
from payment_service.domain.mirrors import base


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The sums of a payment as the provider had them at `state_time_us`, minor units.

    `refunded_minor` was returned by whomever; `foreign_minor` by refunds that are known not
    to be ours. `fetched` says that they were asked for just now.
    """

    refunded_minor: int
    foreign_minor: int
    state_time_us: int
    fetched: bool = False


def absorb(
    payment: model.Payment, told: Told, now_us: int
) -> tuple[base.Verdict, changes.Change | None]:
    """Compares what the provider tells with our books; a difference is raised once."""
    if told.state_time_us < payment.provider_time_us:
        return base.Verdict.STALE, None
    # What we have asked for may be returned already, whether we know or not.
    own_minor = payment.refunded_minor + payment.refund_reserved_minor
    foreign_minor = max(told.foreign_minor, told.refunded_minor - own_minor, 0)
    if foreign_minor == payment.foreign_refunded_minor:
        if told.state_time_us == payment.provider_time_us:
            return base.Verdict.REPEAT, None
        after = replace(payment, provider_time_us=told.state_time_us)
        return base.Verdict.REPEAT, changes.Change(payment=after)
    if told.state_time_us == payment.provider_time_us and not told.fetched:
        return base.Verdict.AMBIGUOUS, None
    after = replace(
        payment,
        foreign_refunded_minor=foreign_minor,
        provider_time_us=told.state_time_us,
        version=payment.version + 1,
        updated_us=now_us,
    )
    step = changes.Step(event_type="reconciliation.discrepancy", before=payment, after=after)
    return base.Verdict.APPLIED, changes.Change(payment=after, steps=(step,))


def disputed(payment: model.Payment, delta_minor: int, now_us: int) -> changes.Change | None:
    """Counts what a dispute has taken (or given back, below 0) since it was heard of last."""
    if not delta_minor:
        return None
    after = replace(
        payment,
        disputed_minor=payment.disputed_minor + delta_minor,
        version=payment.version + 1,
        updated_us=now_us,
    )
    event_type = "payment.disputed" if delta_minor > 0 else "payment.dispute_released"
    step = changes.Step(event_type=event_type, before=payment, after=after)
    return changes.Change(payment=after, steps=(step,))
