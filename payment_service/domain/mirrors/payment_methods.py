"""What a payment method is and what happens to it.

Owns its states, its rules, and which of a customer's is the default: the one that the
provider called so last. Called by the use cases. Never holds a token.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from payment_service.domain import bindings, model
from payment_service.domain.mirrors import base, objects

# A customer with more is a program gone wrong, and every change reads them all.
METHODS_MAX = 100


class State(enum.IntEnum):
    """Where it stands; see `payhub.payments.v1.PaymentMethod.State`."""

    PENDING = 1
    ACTIVE = 2
    FAILED = 3
    DETACHED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod(base.Mirrored):
    """A payment method of a customer; `default_us` is when the provider called it default."""

    customer_id: str
    user_id: str = ""
    state: State = State.PENDING
    type: str = ""
    card: objects.Card | None = None
    is_default: bool = False
    default_us: int = 0

    def bare(self) -> "PaymentMethod":
        """Returns it without what may change and is no event."""
        return replace(base.Mirrored.bare(self), default_us=0)


def _show(before: PaymentMethod, seen: objects.PaymentMethod, links: base.Links) -> PaymentMethod:
    gone = seen.deleted or not seen.provider_customer_id
    return replace(
        before,
        state=State.DETACHED if gone else State.ACTIVE,
        type=seen.type or before.type,
        card=seen.card or before.card,
        default_us=seen.state_time_us if seen.is_default and not gone else 0,
    )


def _tell(before: PaymentMethod | None, after: PaymentMethod) -> base.Told[PaymentMethod]:
    if before is None:
        made = "attached" if after.state is State.ACTIVE else "created"
        return ((f"payment_method.{made}", after),)
    if before.state is not after.state and after.state is State.ACTIVE:
        return (("payment_method.attached", after),)
    if before.state is not after.state and after.state is State.DETACHED:
        return (("payment_method.detached", after),)
    if before.is_default != after.is_default:
        return (("payment_method.default_changed", after),)
    return (("payment_method.updated", after),) if before.bare() != after.bare() else ()


def _adopt(new: base.New, seen: objects.PaymentMethod, links: base.Links) -> PaymentMethod | None:
    if not links.customer_id or seen.deleted:
        return None
    return PaymentMethod(
        id=new.id,
        tenant_id=new.tenant_id,
        place=replace(new.place, sync_state=model.SyncState.SYNCED),
        customer_id=links.customer_id,
        user_id=links.user_id,
        created_us=new.now_us,
        updated_us=new.now_us,
    )


def _done(entity: PaymentMethod, operation: model.Operation) -> PaymentMethod:
    if operation.kind is model.Kind.DETACH_PAYMENT_METHOD:
        return replace(entity, state=State.DETACHED, default_us=0)
    return entity


def _missed(entity: PaymentMethod, operation: model.Operation) -> PaymentMethod:
    if operation.kind is model.Kind.ATTACH_PAYMENT_METHOD and entity.state is State.PENDING:
        return replace(entity, state=State.FAILED)
    return entity


def elect(methods: Iterable[PaymentMethod]) -> list[PaymentMethod]:
    """Returns the methods of a customer whose `is_default` changes, with its new value."""
    known = list(methods)
    called = [one for one in known if one.default_us and one.state is State.ACTIVE]
    chosen = max(called, key=lambda one: (one.default_us, one.id), default=None)
    return [
        replace(one, is_default=one is chosen)
        for one in known
        if one.is_default is not (one is chosen)
    ]


def refusal(
    method: PaymentMethod, operations: Iterable[model.Operation]
) -> bindings.Refusal | None:
    """Returns why a payment method can't be changed now, or None."""
    if (open_ := base.busy(tuple(operations), method.place.provider)) is not None:
        return base.under_way(method, open_)
    if method.state is not State.ACTIVE:
        return base.conflict(
            f"{method.id} is {method.state.name}; only an ACTIVE payment method can be changed",
            f"STATE_{method.state.name}",
        )
    return None


RULES: base.Rules[PaymentMethod, objects.PaymentMethod] = base.Rules(
    kind=objects.ObjectKind.PAYMENT_METHOD,
    prefix="pmt",
    name="payment_method",
    entity=PaymentMethod,
    show=_show,
    tell=_tell,
    columns=lambda one: base.Columns(
        state=int(one.state), customer_id=one.customer_id, user_id=one.user_id
    ),
    adopt=_adopt,
    done=_done,
    missed=_missed,
    ended=lambda one: one.state is State.DETACHED,
    kinds=frozenset(
        {
            model.Kind.ATTACH_PAYMENT_METHOD,
            model.Kind.DETACH_PAYMENT_METHOD,
            model.Kind.SET_DEFAULT_PAYMENT_METHOD,
        }
    ),
)
