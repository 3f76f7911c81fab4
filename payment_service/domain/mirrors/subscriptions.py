"""What a subscription is and what happens to it.

Owns its states, what may be done with it, and what each change is called. Called by the use
cases. The provider keeps the calendar: nothing here happens by the passing of time.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from payment_service.domain import bindings, model
from payment_service.domain.mirrors import base, objects

CHANGE, CANCEL, REACTIVATE = (
    "ChangeSubscriptionPlan",
    "CancelSubscription",
    "ReactivateSubscription",
)
# After the end of a period, for the provider to have billed the next one.
_RENEWED_AFTER_US = 3600 * 1_000_000
_O = objects.SubscriptionState


class State(enum.IntEnum):
    """Where it stands; see `payhub.payments.v1.Subscription.State`."""

    PENDING = 1
    TRIALING = 2
    ACTIVE = 3
    PAST_DUE = 4
    PAUSED = 5
    CANCELED = 6
    FAILED = 7


class Proration(enum.IntEnum):
    """What becomes of the period that runs; see `payhub.payments.v1.Proration`."""

    NEXT_INVOICE = 1
    NOW = 2
    NONE = 3


_STATES: dict[objects.SubscriptionState, State] = {
    _O.PENDING: State.PENDING,
    _O.TRIALING: State.TRIALING,
    _O.ACTIVE: State.ACTIVE,
    _O.PAST_DUE: State.PAST_DUE,
    _O.PAUSED: State.PAUSED,
    _O.CANCELED: State.CANCELED,
    _O.EXPIRED: State.FAILED,
}
_RUNNING = frozenset({State.TRIALING, State.ACTIVE, State.PAST_DUE})
_ENDED = frozenset({State.CANCELED, State.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription(base.Mirrored):
    """A customer who pays for a plan; times are 0 where there is none.

    `provider_invoice_id` is its newest invoice, which core may not know yet.
    """

    customer_id: str
    user_id: str = ""
    plan_id: str = ""
    quantity: int = 1
    state: State = State.PENDING
    period_start_us: int = 0
    period_end_us: int = 0
    trial_end_us: int = 0
    cancel_at_period_end: bool = False
    end_us: int = 0
    provider_invoice_id: str = ""
    latest_invoice_id: str = ""
    payment_method_id: str = ""
    action: model.CustomerAction | None = None
    failure: model.Failure | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def bare(self) -> "Subscription":
        """Returns it without what may change and is no event."""
        return replace(base.Mirrored.bare(self), provider_invoice_id="")


def available(subscription: Subscription) -> tuple[str, ...]:
    """Returns the RPCs that change it now; none while an operation on it is under way."""
    state, place = subscription.state, subscription.place
    if place.sync_state in (model.SyncState.PENDING, model.SyncState.IN_DOUBT):
        return ()
    if not place.provider_object_id or state in _ENDED:
        return ()
    found = [CHANGE] if state in _RUNNING else []
    found.append(CANCEL)
    if subscription.cancel_at_period_end:
        found.append(REACTIVATE)
    return tuple(found)


def refusal(
    subscription: Subscription,
    operations: Sequence[model.Operation],
    action: str,
    *,
    at_period_end: bool = False,
) -> bindings.Refusal | None:
    """Returns why an RPC may not change a subscription now, or None."""
    open_ = base.busy(operations, subscription.place.provider)
    if open_ is not None:
        return base.under_way(subscription, open_)
    allowed = available(subscription)
    name = subscription.state.name
    if action not in allowed:
        text = f"{subscription.id} is {name}, which {action} does not go with"
        if action == REACTIVATE and subscription.state not in _ENDED:
            text = f"{subscription.id} is not to end, so there is nothing to take back"
        return base.conflict(text, f"STATE_{name}", allowed)
    if at_period_end and (subscription.cancel_at_period_end or subscription.state not in _RUNNING):
        text = f"{subscription.id} ends with its period already"
        if not subscription.cancel_at_period_end:
            text = f"{subscription.id} is {name}, so no period runs; end it now"
        return base.conflict(text, f"STATE_{name}", allowed)
    return None


def _show(before: Subscription, seen: objects.Subscription, links: base.Links) -> Subscription:
    state = State.CANCELED if seen.deleted else _STATES[seen.state]
    return replace(
        before,
        state=state,
        plan_id=links.plan_id,
        quantity=seen.quantity,
        period_start_us=seen.period_start_us,
        period_end_us=seen.period_end_us,
        trial_end_us=seen.trial_end_us,
        cancel_at_period_end=seen.cancel_at_period_end and state not in _ENDED,
        end_us=seen.end_us or (seen.state_time_us if state in _ENDED else 0),
        provider_invoice_id=seen.provider_invoice_id,
        latest_invoice_id=links.invoice_id,
        payment_method_id=links.payment_method_id,
        action=seen.action if state is State.PENDING else None,
        failure=seen.decline,
    )


def _adopt(new: base.New, seen: objects.Subscription, links: base.Links) -> Subscription | None:
    if not links.customer_id or seen.deleted:
        return None
    return Subscription(
        id=new.id,
        tenant_id=new.tenant_id,
        place=new.place,
        customer_id=links.customer_id,
        user_id=links.user_id,
        created_us=new.now_us,
        updated_us=new.now_us,
    )


def _tell(before: Subscription | None, after: Subscription) -> base.Told[Subscription]:
    if before is None:
        return (("subscription.created", after),)
    if before.state is not after.state and (name := _entered(before.state, after.state)):
        return ((f"subscription.{name}", after),)
    return (("subscription.updated", after),) if before.bare() != after.bare() else ()


def _entered(before: State, after: State) -> str:
    if before is State.PAUSED and after in (State.TRIALING, State.ACTIVE):
        return "resumed"
    return {
        State.ACTIVE: "activated",
        State.PAST_DUE: "past_due",
        State.PAUSED: "paused",
        State.CANCELED: "canceled",
    }.get(after, "")


def _missed(entity: Subscription, operation: model.Operation) -> Subscription:
    made = entity.place.provider_time_us
    if operation.kind is model.Kind.CREATE_SUBSCRIPTION and not made:
        return replace(entity, state=State.FAILED)
    return entity


def _waits(entity: Subscription) -> int | None:
    """An unpaid one may be paid any time, a running one is billed after its period; each is
    linked to its newest invoice once that is known.
    """
    if not entity.place.provider_object_id:
        return None
    if entity.provider_invoice_id and not entity.latest_invoice_id:
        return 0
    if entity.state in _ENDED:
        return None
    if entity.state is State.PENDING or not entity.period_end_us:
        return 0
    return entity.period_end_us + _RENEWED_AFTER_US


RULES: base.Rules[Subscription, objects.Subscription] = base.Rules(
    kind=objects.ObjectKind.SUBSCRIPTION,
    prefix="sub",
    name="subscription",
    entity=Subscription,
    show=_show,
    tell=_tell,
    columns=lambda one: base.Columns(
        state=int(one.state),
        customer_id=one.customer_id,
        user_id=one.user_id,
        parent_id=one.plan_id,
    ),
    adopt=_adopt,
    missed=_missed,
    waits=_waits,
    ended=lambda one: one.state is State.CANCELED,
    kinds=frozenset(
        {
            model.Kind.CREATE_SUBSCRIPTION,
            model.Kind.CHANGE_SUBSCRIPTION,
            model.Kind.CANCEL_SUBSCRIPTION,
            model.Kind.REACTIVATE_SUBSCRIPTION,
        }
    ),
)
