"""Mirrored entities whose snapshots come in any order, twice, or two of one moment."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from payment_service.domain.mirrors import base, objects, payment_methods
from tests.unit.payment_service import mirrored

V = base.Verdict


def _seen(kind: objects.ObjectKind, time_us: int, draw: Any) -> objects.Seen:
    """Returns a snapshot of a moment with contents that *draw* chooses."""
    told: dict[str, Any] = {"provider_object_id": "there", "state_time_us": time_us}
    told["deleted"] = draw(st.sampled_from((False, False, False, True)))
    flag, small = st.booleans(), st.integers(1, 3)
    match kind:
        case objects.ObjectKind.PAYMENT_METHOD:
            owner = draw(st.sampled_from(("cust", "cust", "")))
            return objects.PaymentMethod(
                **told, provider_customer_id=owner, type="card", is_default=draw(flag)
            )
        case objects.ObjectKind.PLAN:
            return objects.Plan(
                **told,
                amount_minor=900,
                currency="EUR",
                interval=objects.Interval.MONTH,
                interval_count=1,
                active=draw(flag),
            )
        case objects.ObjectKind.SUBSCRIPTION:
            return objects.Subscription(
                **told,
                state=draw(st.sampled_from(objects.SubscriptionState)),
                quantity=draw(small),
                cancel_at_period_end=draw(flag),
                decline=draw(st.sampled_from((None, mirrored.REFUSED))),
            )
        case objects.ObjectKind.CHECKOUT:
            return objects.Checkout(
                **told, state=draw(st.sampled_from(objects.CheckoutState)), paid=draw(flag)
            )
        case objects.ObjectKind.DISPUTE:
            return objects.Dispute(
                **told,
                state=draw(st.sampled_from(objects.DisputeState)),
                amount_minor=100,
                currency="EUR",
                has_evidence=draw(flag),
            )
        case _:
            return objects.Invoice(
                **told,
                state=draw(st.sampled_from(objects.InvoiceState)),
                currency="EUR",
                attempt_count=draw(small),
                overdue=False,
                decline=draw(st.sampled_from((None, mirrored.REFUSED))),
            )


@given(st.data())
def test_snapshots_in_any_order_end_in_the_same_state(data: st.DataObject) -> None:
    """Late and repeated ones change nothing: the newest decides, for every kind."""
    entity = data.draw(st.sampled_from(mirrored.ENTITIES))
    kind = mirrored.rules_of(entity).kind
    told = [_seen(kind, time_us, data.draw) for time_us in range(1, data.draw(st.integers(2, 6)))]
    shuffled = data.draw(st.permutations([*told, *told]))
    one, _ = mirrored.absorbed(entity, told)
    other, _ = mirrored.absorbed(entity, shuffled)
    assert one.bare() == other.bare()
    assert one.place_at("mock") == other.place_at("mock")


@given(st.data())
def test_two_snapshots_of_one_moment_are_decided_by_asking(data: st.DataObject) -> None:
    """A repeat is one, another content is ambiguous, and what was fetched is believed; only an
    end is the last of its moment.
    """
    entity = data.draw(st.sampled_from(mirrored.ENTITIES))
    rules = mirrored.rules_of(entity)
    first, second = (_seen(rules.kind, 5, data.draw) for _ in range(2))
    current, _ = mirrored.absorbed(entity, [first])
    assert base.absorb(rules, current, "mock", first, mirrored.LINKS)[0] is V.REPEAT
    verdict, after = base.absorb(rules, current, "mock", second, mirrored.LINKS)
    decided, believed = base.absorb(rules, current, "mock", second, mirrored.LINKS, fetched=True)
    if believed == current:
        assert {verdict, decided} <= {V.REPEAT, V.STALE}
        assert (V.STALE in (verdict, decided)) <= rules.ended(current)
    else:
        assert (verdict, decided, after) == (V.AMBIGUOUS, V.APPLIED, current)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(payment_methods.State))))
def test_one_payment_method_of_a_customer_is_default(made: Sequence[tuple[int, Any]]) -> None:
    """It is the active one that the provider called so last."""
    known = [
        replace(mirrored.METHOD, id=f"pmt_{n}", default_us=at, state=state, is_default=bool(n % 2))
        for n, (at, state) in enumerate(made)
    ]
    changed = {one.id: one for one in payment_methods.elect(known)}
    after = [changed.get(one.id, one) for one in known]
    called = [one for one in after if one.default_us and one.state.name == "ACTIVE"]
    default = [one for one in after if one.is_default]
    assert len(default) == (1 if called else 0)
    if called:
        assert default[0].default_us == max(one.default_us for one in called)
    assert not payment_methods.elect(after)
