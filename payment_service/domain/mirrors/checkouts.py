"""What a checkout is and what happens to it.

Owns its states and rules. Called by the use cases. What is paid there becomes a payment or
a subscription of its own, to which it is linked.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from payment_service.domain import bindings, model
from payment_service.domain.mirrors import base, objects


class State(enum.IntEnum):
    """Where it stands; see `payhub.payments.v1.Checkout.State`."""

    PENDING = 1
    OPEN = 2
    COMPLETED = 3
    EXPIRED = 4
    FAILED = 5


_STATES = {
    objects.CheckoutState.OPEN: State.OPEN,
    objects.CheckoutState.COMPLETED: State.COMPLETED,
    objects.CheckoutState.EXPIRED: State.EXPIRED,
}
_TOLD = {State.COMPLETED: "checkout.completed", State.EXPIRED: "checkout.expired"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout(base.Mirrored):
    """A page on which a payer pays: an amount in minor units of `currency`, or a plan.

    `redirect_url` and `client_secret` are secrets and kept while it is open.
    """

    customer_id: str = ""
    user_id: str = ""
    state: State = State.PENDING
    amount_minor: int = 0
    currency: str = ""
    plan_id: str = ""
    quantity: int = 0
    redirect_url: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    publishable_key: str = ""
    expire_us: int = 0
    payment_id: str = ""
    subscription_id: str = ""
    order_id: str = ""
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def _show(before: Checkout, seen: objects.Checkout, links: base.Links) -> Checkout:
    state = State.EXPIRED if seen.deleted else _STATES[seen.state]
    is_open = state is State.OPEN
    return replace(
        before,
        state=state,
        customer_id=before.customer_id or links.customer_id,
        user_id=before.user_id or links.user_id,
        # A snapshot of a webhook may leave them out.
        redirect_url=(seen.redirect_url or before.redirect_url) if is_open else "",
        client_secret=(seen.client_secret or before.client_secret) if is_open else "",
        expire_us=seen.expire_us or before.expire_us,
        payment_id=links.payment_id or before.payment_id,
        subscription_id=links.subscription_id or before.subscription_id,
    )


def _tell(before: Checkout | None, after: Checkout) -> base.Told[Checkout]:
    if before is None:
        return (("checkout.created", after),)
    if before.state is not after.state and after.state in _TOLD:
        return ((_TOLD[after.state], after),)
    return (("checkout.updated", after),) if before.bare() != after.bare() else ()


def _done(entity: Checkout, operation: model.Operation) -> Checkout:
    if operation.kind is model.Kind.EXPIRE_CHECKOUT and entity.state is State.OPEN:
        return replace(entity, state=State.EXPIRED, redirect_url="", client_secret="")
    return entity


def _missed(entity: Checkout, operation: model.Operation) -> Checkout:
    if operation.kind is model.Kind.CREATE_CHECKOUT and entity.state is State.PENDING:
        return replace(entity, state=State.FAILED)
    return entity


def _waits(entity: Checkout) -> int | None:
    """Also for what it led to: a completed one is linked to that once it is known."""
    is_linked = bool(entity.payment_id or entity.subscription_id)
    if entity.state is State.OPEN or (entity.state is State.COMPLETED and not is_linked):
        return 0
    return None


def refusal(checkout: Checkout, operations: Iterable[model.Operation]) -> bindings.Refusal | None:
    """Returns why a checkout can't be ended now, or None."""
    if (open_ := base.busy(tuple(operations), checkout.place.provider)) is not None:
        return base.under_way(checkout, open_)
    if checkout.state is not State.OPEN:
        return base.conflict(
            f"{checkout.id} is {checkout.state.name}; only an OPEN checkout can be ended",
            f"STATE_{checkout.state.name}",
        )
    return None


RULES: base.Rules[Checkout, objects.Checkout] = base.Rules(
    kind=objects.ObjectKind.CHECKOUT,
    prefix="chk",
    name="checkout",
    entity=Checkout,
    show=_show,
    tell=_tell,
    columns=lambda one: base.Columns(
        state=int(one.state), customer_id=one.customer_id, user_id=one.user_id
    ),
    done=_done,
    missed=_missed,
    waits=_waits,
    ended=lambda one: one.state in (State.COMPLETED, State.EXPIRED),
    kinds=frozenset({model.Kind.CREATE_CHECKOUT, model.Kind.EXPIRE_CHECKOUT}),
)
