"""Every outcome a provider can have, on every kind of operation."""

import asyncio

from payhub.payments.v1 import payment_pb2

from provider_mock import scenarios
from tests.integration.payment_service import conftest, rig

# Those that end a process or break a connection that others use are tested apart.
APART = {"crash_before", "crash_after", "sever_after_commit"}
TECHNICAL = {
    "not_sent": "UPSTREAM_UNREACHABLE",
    "rate_limited": "UPSTREAM_RATE_LIMITED",
    "credentials_rejected": "CREDENTIALS_REJECTED",
}
LOST = {"late_answer", "no_answer", "drop_after_commit", "bug"}
FOREVER = {"wrong_amount"}
# What tells that an operation on a payment has not ended yet.
BETWEEN = {"PENDING": ["payment.updated"], "IN_DOUBT": ["payment.in_doubt"]}


def reason_of(outcome: str) -> str:
    """Returns the reason of a decline."""
    return outcome.removeprefix("decline_").upper() if outcome != "decline" else "OTHER"


def states_of(outcome: str) -> tuple[str, str]:
    """Returns the state of an operation after the call and at last."""
    if outcome in TECHNICAL:
        return "NOT_SENT", "NOT_SENT"
    if outcome in LOST:
        return "IN_DOUBT", "SUCCEEDED"
    found: dict[str, tuple[str, str]] = {
        "approve": ("SUCCEEDED", "SUCCEEDED"),
        "pending_then_settled": ("PENDING", "SUCCEEDED"),
        "pending_then_declined": ("PENDING", "DECLINED"),
        "drop_before_commit": ("IN_DOUBT", "NOT_SENT"),
        "wrong_amount": ("IN_DOUBT", "IN_DOUBT"),
    }
    return found.get(outcome, ("DECLINED", "DECLINED"))


OUTCOMES = sorted(set(scenarios.OUTCOMES) - APART - {"action_required"})


async def ends(caller: rig.Caller, payment_id: str, kind: str, wanted: str) -> rig.Payment:
    """Returns a payment once its newest operation is of a kind and in a state."""

    async def ended() -> rig.Payment | None:
        payment = await caller.get(payment_id)
        return payment if rig.operations(payment)[-1] == (kind, wanted) else None

    payment: rig.Payment = await rig.until(ended)
    return payment


async def test_every_outcome_of_an_authorization(
    hasty: conftest.Service, join: conftest.Join
) -> None:
    """Each leads to its state at once and at last, as a sale and as an authorization."""
    caller = await join(hasty)
    payment_state = {
        "SUCCEEDED": "",
        "PENDING": "PROCESSING",
        "DECLINED": "FAILED",
        "NOT_SENT": "FAILED",
        "IN_DOUBT": "IN_DOUBT",
    }

    async def one(outcome: str, *, manual: bool) -> None:
        now, last = states_of(outcome)
        kind, paid = ("AUTHORIZE", "AUTHORIZED") if manual else ("SALE", "SUCCEEDED")
        payment = await caller.create(f"tok_{outcome}", manual=manual)
        assert rig.operations(payment) == [(kind, now)], outcome
        assert rig.state(payment) == (payment_state[now] or paid), outcome
        after = await ends(caller, payment.id, kind, last)
        assert rig.state(after) == (payment_state[last] or paid), outcome
        types = hasty.records.story(after)
        happened = [f"payment.{paid.lower()}" if last == "SUCCEEDED" else "payment.failed"]
        if now == "IN_DOUBT":
            happened = ["payment.in_doubt", *(happened if last != "IN_DOUBT" else [])]
        pending = ["payment.processing"] if now == "PENDING" else []
        assert types == ["payment.created", *pending, *happened], outcome
        failure = after.failure
        if last == "DECLINED":
            assert failure.kind == payment_pb2.PaymentFailure.KIND_DECLINED
            assert outcome == "pending_then_declined" or failure.reason == reason_of(outcome)
        elif last == "NOT_SENT":
            assert failure.kind == payment_pb2.PaymentFailure.KIND_NOT_SENT
            assert failure.reason == TECHNICAL.get(outcome, "NEVER_ARRIVED")
        else:
            assert not after.HasField("failure")
        expected = [(kind, last, 1000)] if last in ("SUCCEEDED", "DECLINED") else []
        if outcome not in FOREVER:
            assert hasty.ledger.effects(payment.id) == expected, outcome

    await asyncio.gather(*(one(o, manual=m) for o in OUTCOMES for m in (False, True)))


async def test_an_instrument_nobody_knows_is_declined(caller: rig.Caller) -> None:
    """The provider, not Payhub, decides what a token is."""
    payment = await caller.create("pm_of_another_provider")
    assert rig.state(payment) == "FAILED"
    assert payment.failure.reason == "INSTRUMENT_INVALID"


async def test_every_outcome_of_a_capture(hasty: conftest.Service, join: conftest.Join) -> None:
    """The payment stays AUTHORIZED and its reservation is kept exactly while it is open."""
    caller = await join(hasty)

    async def one(outcome: str) -> None:
        now, last = states_of(outcome)
        payment = await caller.create(f"tok_approve+capture.{outcome}", manual=True)
        captured = await caller.capture(payment.id, 400, more=True)
        assert rig.operations(captured)[-1] == ("CAPTURE", now), outcome
        waits = now in ("PENDING", "IN_DOUBT")
        done = 400 if now == "SUCCEEDED" else 0
        assert rig.amounts(captured) == (1000, done, 400 if waits else 0, 0, 0), outcome
        assert rig.actions(captured).get("CAPTURE", 0) == (0 if waits else 1000 - done), outcome
        after = await ends(caller, payment.id, "CAPTURE", last)
        assert rig.state(after) == "AUTHORIZED"
        taken, kept = (400 if last == "SUCCEEDED" else 0), (400 if last == "IN_DOUBT" else 0)
        assert rig.amounts(after) == (1000, taken, kept, 0, 0), outcome
        tail = hasty.records.story(after)[2:]
        assert (
            tail
            == {
                ("SUCCEEDED", "SUCCEEDED"): ["payment.captured"],
                ("PENDING", "SUCCEEDED"): ["payment.updated", "payment.captured"],
                ("PENDING", "DECLINED"): ["payment.updated", "payment.capture_failed"],
                ("DECLINED", "DECLINED"): ["payment.capture_failed"],
                ("NOT_SENT", "NOT_SENT"): ["payment.capture_failed"],
                ("IN_DOUBT", "SUCCEEDED"): ["payment.in_doubt", "payment.captured"],
                ("IN_DOUBT", "NOT_SENT"): ["payment.in_doubt", "payment.resolved"],
                ("IN_DOUBT", "IN_DOUBT"): ["payment.in_doubt"],
            }[now, last]
        ), outcome

    await asyncio.gather(*(one(outcome) for outcome in OUTCOMES))


async def test_every_outcome_of_an_increment(hasty: conftest.Service, join: conftest.Join) -> None:
    """What is held rises only with success; meanwhile and in doubt nothing is taken from it."""
    caller = await join(hasty)

    async def one(outcome: str) -> None:
        now, last = states_of(outcome)
        payment = await caller.create(f"tok_approve+increment.{outcome}", manual=True)
        raised = await caller.increment(payment.id, 500)
        assert rig.operations(raised)[-1] == ("INCREMENT", now), outcome
        if now in ("PENDING", "IN_DOUBT"):
            assert rig.actions(raised) == {}, outcome
            assert rig.amounts(raised)[0] == 1000, outcome
        after = await ends(caller, payment.id, "INCREMENT", last)
        held = 1500 if last == "SUCCEEDED" else 1000
        assert (rig.state(after), after.amount.amount_minor) == ("AUTHORIZED", held), outcome
        assert rig.amounts(after)[0] == held, outcome
        if last == "IN_DOUBT":
            return
        assert rig.actions(after) == {"CAPTURE": held, "CANCEL": 0, "INCREMENT": 0}, outcome
        failed = "payment.resolved" if now == "IN_DOUBT" else "payment.increment_failed"
        ended = "payment.incremented" if last == "SUCCEEDED" else failed
        assert hasty.records.story(after)[2:] == [*BETWEEN.get(now, []), ended], outcome

    await asyncio.gather(*(one(outcome) for outcome in OUTCOMES))


async def test_every_outcome_of_a_void(hasty: conftest.Service, join: conftest.Join) -> None:
    """A void reserves the whole rest until it is known to have ended, and then frees it."""
    caller = await join(hasty)

    async def one(outcome: str) -> None:
        now, last = states_of(outcome)
        payment = await caller.create(f"tok_approve+void.{outcome}", manual=True)
        canceled = await caller.cancel(payment.id)
        assert rig.operations(canceled)[-1] == ("VOID", now), outcome
        if now in ("PENDING", "IN_DOUBT"):
            assert rig.state(canceled) == "AUTHORIZED"
            assert rig.amounts(canceled) == (1000, 0, 1000, 0, 0), outcome
            assert rig.actions(canceled) == {}, outcome
        after = await ends(caller, payment.id, "VOID", last)
        ended = last == "SUCCEEDED"
        assert rig.state(after) == ("CANCELED" if ended else "AUTHORIZED"), outcome
        held = {"CAPTURE": 1000, "CANCEL": 0, "INCREMENT": 0}
        assert rig.actions(after) == ({} if ended else held), outcome
        tail = hasty.records.story(after)[2:]
        failed = "payment.resolved" if now == "IN_DOUBT" else "payment.void_failed"
        end = "payment.canceled" if ended else failed
        assert tail == [*BETWEEN.get(now, []), end], outcome

    voids = [outcome for outcome in OUTCOMES if outcome != "wrong_amount"]
    await asyncio.gather(*(one(outcome) for outcome in voids))


async def test_every_outcome_of_a_refund(hasty: conftest.Service, join: conftest.Join) -> None:
    """The amount is out of reach exactly while the refund is open or done."""
    caller = await join(hasty)
    refund_state = {"NOT_SENT": "FAILED", "DECLINED": "FAILED"}

    async def one(outcome: str) -> None:
        now, last = states_of(outcome)
        payment = await caller.create(f"tok_approve+refund.{outcome}")
        refund = await caller.refund(payment.id, 400)
        assert rig.state(refund) == refund_state.get(now, now), outcome
        after = await ends(caller, payment.id, "REFUND", last)
        ended = await caller.get_refund(refund.id)
        assert rig.state(ended) == refund_state.get(last, last), outcome
        assert ended.HasField("failure") is (last in refund_state), outcome
        back, kept = (400 if last == "SUCCEEDED" else 0), (400 if last == "IN_DOUBT" else 0)
        assert rig.amounts(after) == (1000, 1000, 0, back, kept), outcome
        assert rig.actions(after) == {"REFUND": 1000 - back - kept}, outcome
        between = {"PENDING": ["refund.pending"], "IN_DOUBT": ["refund.in_doubt"]}.get(now, [])
        final = {"SUCCEEDED": ["refund.succeeded"], "IN_DOUBT": []}.get(last, ["refund.failed"])
        tail = hasty.records.story(after)[2:]
        assert tail == ["refund.created", *between, *final], outcome

    await asyncio.gather(*(one(outcome) for outcome in OUTCOMES))


async def test_a_severed_connection_is_a_doubt_that_is_settled(
    hasty: conftest.Service, join: conftest.Join
) -> None:
    """The connection breaks after the provider booked: looked up over the next one."""
    caller = await join(hasty)
    payment = await caller.create("tok_sever_after_commit")
    assert rig.state(payment) == "IN_DOUBT"
    after = await caller.becomes(payment.id, "SUCCEEDED")
    assert hasty.ledger.effects(payment.id) == [("SALE", "SUCCEEDED", 1000)]
    assert hasty.records.story(after)[-2:] == ["payment.in_doubt", "payment.succeeded"]
