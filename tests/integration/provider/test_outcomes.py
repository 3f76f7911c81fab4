"""What each scenario does, per operation, and what the ledger then holds."""

import asyncio
import itertools
import json
import urllib.error
import urllib.request
from typing import Any

import grpc
import pytest
from payhub.provider.v1 import operation_pb2

from tests.integration.provider import patience, rig

State = operation_pb2.Operation
DECLINES = {
    name.removeprefix("DECLINE_REASON_").lower(): number
    for name, number in operation_pb2.DeclineReason.items()
    if number
}
PENDING_S = 1001


async def post(url: str) -> Any:
    """Posts to the provider's HTTP port and returns the JSON answer."""

    def send() -> Any:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=20) as got:
            return json.load(got)

    return await asyncio.to_thread(send)


async def pass_time(bank: rig.MockProcess) -> None:
    """Moves the provider's clock past every pending operation."""
    await post(f"http://{bank.http}/clock?advance_s={PENDING_S}")


async def test_approve_authorizes_captures_and_refunds_the_exact_amounts(
    core: rig.Core, bank: rig.MockProcess
) -> None:
    """Every answer echoes amount and currency; partial sums add up in the ledger."""
    paid = await core.authorize(amount_minor=1000, currency="EUR")
    first = await core.capture(paid, 300, final=False)
    second = await core.capture(paid, 200, final=True)
    back = await core.refund(paid, 450)
    states = {operation.state for operation in (paid, first, second, back)}
    assert states == {State.STATE_SUCCEEDED}
    assert first.amount == rig.money(300)
    assert back.amount == rig.money(450)
    report = bank.books()
    rows = [r for r in report["operations"] if r["provider_object_id"] == paid.provider_object_id]
    assert [(r["kind"], r["amount_minor"]) for r in rows] == [
        ("AUTHORIZE", 1000),
        ("CAPTURE", 300),
        ("CAPTURE", 200),
        ("REFUND", 450),
    ]


@pytest.mark.parametrize(("currency", "amount_minor"), [("JPY", 500), ("KWD", 1), ("USD", 2**62)])
async def test_a_sale_is_captured_at_once(core: rig.Core, currency: str, amount_minor: int) -> None:
    """Automatic capture leaves nothing to capture, whatever the currency's exponent."""
    paid = await core.authorize(amount_minor=amount_minor, currency=currency, sale=True)
    assert paid.amount == rig.money(amount_minor, currency)
    with pytest.raises(rig.Refused) as refused:
        await core.capture(paid, 1, currency=currency)
    assert refused.value.reason == "STATE_CONFLICT"


@pytest.mark.parametrize("reason", sorted(DECLINES))
async def test_a_decline_is_an_ok_answer_with_its_reason(core: rig.Core, reason: str) -> None:
    """Each decline reason of the contract can be asked for, and stays when looked up."""
    declined = await core.authorize(f"tok_decline_{reason}")
    assert declined.state == State.STATE_DECLINED
    assert declined.decline.reason == DECLINES[reason]
    assert declined.decline.provider_code == f"mock_{reason}"
    assert await core.find(declined.operation_id) == declined


@pytest.mark.parametrize("token", ["4242424242424242", "tok_", "tok_unheard_of", "tok_approve+x."])
async def test_an_unknown_token_is_an_invalid_instrument(core: rig.Core, token: str) -> None:
    """A token outside of the grammar is declined, never approved by accident."""
    declined = await core.authorize(token)
    assert declined.decline.reason == operation_pb2.DECLINE_REASON_INSTRUMENT_INVALID


async def test_later_operations_follow_the_token_of_the_authorization(core: rig.Core) -> None:
    """Each kind has its own clause; kinds without one are approved."""
    token = "tok_approve+capture.decline_other+refund.decline_limit_exceeded"
    paid = await core.authorize(token)
    assert (await core.capture(paid, 100)).state == State.STATE_DECLINED
    assert (await core.void(paid.operation_id)).state == State.STATE_SUCCEEDED
    sold = await core.authorize(token, sale=True)
    refused = await core.refund(sold, 100)
    assert refused.decline.reason == operation_pb2.DECLINE_REASON_LIMIT_EXCEEDED
    kept = await core.authorize("tok_approve+void.decline_other")
    assert (await core.void(kept.operation_id)).state == State.STATE_DECLINED
    assert (await core.capture(kept, 1000)).state == State.STATE_SUCCEEDED


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        ("pending_then_settled", State.STATE_SUCCEEDED),
        ("pending_then_declined", State.STATE_DECLINED),
    ],
)
async def test_pending_ends_when_the_providers_time_has_come(
    core: rig.Core, bank: rig.MockProcess, outcome: str, end: int
) -> None:
    """Pending reserves its amount, ends as the token says, and then never changes."""
    sold = await core.authorize(f"tok_{outcome}", sale=True)
    assert sold.state == State.STATE_PENDING
    paid = await core.authorize(f"tok_approve+capture.{outcome}")
    captured = await core.capture(paid, 600, final=False)
    with pytest.raises(rig.Refused) as refused:
        await core.capture(paid, 500)
    assert refused.value.reason == "STATE_CONFLICT"
    taken = await core.authorize(f"tok_approve+refund.{outcome}", sale=True)
    back = await core.refund(taken, 1000)
    held = await core.authorize(f"tok_approve+void.{outcome}")
    released = await core.void(held.operation_id)
    waiting = [sold, captured, back, released]
    for operation in waiting:
        assert (await core.find(operation.operation_id)).state == State.STATE_PENDING
    await pass_time(bank)
    for operation in waiting:
        ended = await core.find(operation.operation_id)
        assert ended.state == end
        assert await core.find(operation.operation_id) == ended
    left_minor = 400 if end == State.STATE_SUCCEEDED else 1000
    rest = await core.capture(paid, left_minor, final=False)
    assert rest.state == State.STATE_PENDING


@pytest.mark.parametrize(
    ("verdict", "end"), [("complete", State.STATE_SUCCEEDED), ("fail", State.STATE_DECLINED)]
)
async def test_an_action_ends_by_what_the_payer_does(
    core: rig.Core, verdict: str, end: int
) -> None:
    """The redirect URL leads to a page whose buttons end the operation, once."""
    waiting = await core.authorize("tok_action_required", sale=True)
    assert waiting.state == State.STATE_ACTION_REQUIRED
    assert waiting.action.client_secret
    assert waiting.action.expire_time.seconds > waiting.state_time.seconds
    url = waiting.action.redirect_url
    with await asyncio.to_thread(urllib.request.urlopen, url, timeout=20) as page:
        assert b"/complete" in page.read()
    answer = await post(f"{url}/{verdict}")
    assert answer["operation_id"] == waiting.operation_id
    ended = await core.find(waiting.operation_id)
    assert ended.state == end
    assert not ended.HasField("action")
    other = "fail" if verdict == "complete" else "complete"
    assert (await post(f"{url}/{verdict}"))["state"] == answer["state"]
    with pytest.raises(urllib.error.HTTPError) as conflict:
        await post(f"{url}/{other}")
    conflict.value.close()
    assert conflict.value.code == 409


async def test_an_action_core_did_not_offer_is_a_decline(
    bank: rig.MockProcess, core: rig.Core
) -> None:
    """Without the capability in the handshake nothing asks for the payer."""
    plain = rig.Core(bank.target)
    await plain.connect(customer_action=False)
    try:
        declined = await plain.authorize("tok_action_required")
        reason = operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED
        assert declined.decline.reason == reason
    finally:
        await plain.close()
        await core.connect()


async def test_an_action_nobody_takes_expires(core: rig.Core, bank: rig.MockProcess) -> None:
    """After its expire time an action is declined as not authenticated."""
    waiting = await core.authorize("tok_action_required")
    await pass_time(bank)
    ended = await core.find(waiting.operation_id)
    assert ended.decline.reason == operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED


FAULTS = [
    # outcome, status, reason (None: no details), effect, whether it happened
    ("not_sent", "UNAVAILABLE", "UPSTREAM_UNREACHABLE", "NONE", False),
    ("rate_limited", "RESOURCE_EXHAUSTED", "UPSTREAM_RATE_LIMITED", "NONE", False),
    ("credentials_rejected", "FAILED_PRECONDITION", "CREDENTIALS_REJECTED", "NONE", False),
    ("drop_before_commit", "UNAVAILABLE", None, "UNKNOWN", False),
    ("drop_after_commit", "UNAVAILABLE", None, "UNKNOWN", True),
    ("sever_after_commit", "UNAVAILABLE", None, "UNKNOWN", True),
    ("no_answer", "UNAVAILABLE", "UPSTREAM_NO_ANSWER", "UNKNOWN", True),
    ("late_answer", "DEADLINE_EXCEEDED", None, "UNKNOWN", True),
    ("bug", "INTERNAL", "PLUGIN_BUG", "UNKNOWN", True),
]


@pytest.mark.parametrize("kind", ["authorize", "capture", "refund", "void"])
@pytest.mark.parametrize(("outcome", "code", "reason", "effect", "happened"), FAULTS)
async def test_a_fault_says_no_more_than_core_may_know(
    core: rig.Core,
    bank: rig.MockProcess,
    kind: str,
    outcome: str,
    code: str,
    reason: str | None,
    effect: str,
    happened: bool,
) -> None:
    """Each fault has its status and effect, and the ledger shows what really happened."""

    async def meet(stretch: float) -> None:
        operation_id = rig.new_operation_id()
        late = outcome == "late_answer"
        timeout_s = 0.2 * stretch if late else 10.0
        refused = await _refused(core, kind, outcome, operation_id, timeout_s)
        if late and (refused.infos or not await _is_known(core, operation_id)):
            raise patience.Missed("the deadline was over before there was an answer")
        assert refused.code is grpc.StatusCode[code]
        assert refused.effect == effect
        if reason is None:
            assert refused.infos == []
        else:
            assert refused.reason == reason
            assert refused.infos[0].domain == "mock"
        assert (refused.retry_after_s is not None) == (outcome == "rate_limited")
        if happened:
            await core.succeeded(operation_id)
        else:
            assert not await _is_known(core, operation_id)
        assert len(bank.effects(operation_id)) == int(happened)

    await patience.caught(meet)


async def _refused(
    core: rig.Core, kind: str, outcome: str, operation_id: str, timeout_s: float
) -> rig.Refused:
    """Meets a fault; returns what core gets to hear."""
    rest: dict[str, Any] = {"operation_id": operation_id, "timeout_s": timeout_s}
    token = f"tok_{outcome}" if kind == "authorize" else f"tok_approve+{kind}.{outcome}"
    paid = None
    if kind != "authorize":
        paid = await core.authorize(token, sale=kind == "refund")
    if paid is None:
        work = core.authorize(token, **rest)
    elif kind == "capture":
        work = core.capture(paid, 100, **rest)
    elif kind == "refund":
        work = core.refund(paid, 100, **rest)
    else:
        work = core.void(paid.operation_id, **rest)
    with pytest.raises(rig.Refused) as refused:
        await work
    return refused.value


async def _is_known(core: rig.Core, operation_id: str) -> bool:
    """Whether a look-up finds an operation, over a new connection if need be."""
    known = True

    async def is_told() -> bool:
        nonlocal known
        try:
            await core.find(operation_id)
        except rig.Refused as refused:
            known = refused.code is not grpc.StatusCode.NOT_FOUND
            return not known
        return True

    await rig.until(is_told)
    return known


async def test_a_severed_connection_takes_every_call_on_it(core: rig.Core) -> None:
    """`sever_after_commit` shuts the TCP connection, so its other calls lose their answers too."""
    generations = itertools.count(2)

    async def sever(stretch: float) -> None:
        latency = f'{{"latency_ms": {1000 * stretch:.0f}}}'
        await core.configure(latency, generation=next(generations))
        operation_id = rig.new_operation_id()
        paying = core.authorize(operation_id=operation_id, not_after_s=30.0, timeout_s=30.0)
        slow = asyncio.ensure_future(paying)
        await core.running(operation_id)
        await core.configure("{}", generation=next(generations))
        with pytest.raises(rig.Refused):
            await core.authorize("tok_sever_after_commit")
        if slow.done() and slow.exception() is None:
            raise patience.Missed("it had its answer before the connection was shut")
        with pytest.raises(rig.Refused) as refused:
            await slow
        assert (refused.value.code, refused.value.infos) == (grpc.StatusCode.UNAVAILABLE, [])
        await core.succeeded(operation_id)
        assert (await core.authorize()).state == State.STATE_SUCCEEDED

    await patience.caught(sever)


async def test_a_wrong_amount_is_echoed_and_not_booked(
    core: rig.Core, bank: rig.MockProcess
) -> None:
    """The answer and every look-up lie about the amount; the books do not."""
    paid = await core.authorize("tok_wrong_amount", amount_minor=1000)
    assert paid.amount.amount_minor == 1001
    assert (await core.find(paid.operation_id)).amount.amount_minor == 1001
    assert bank.effects(paid.operation_id)[0]["amount_minor"] == 1000


@pytest.mark.parametrize(
    ("name", "email", "created", "updated"),
    [
        ("Ada", "ada@example.com", State.STATE_SUCCEEDED, State.STATE_SUCCEEDED),
        ("Ada", "mock+decline_other@example.com", State.STATE_DECLINED, State.STATE_SUCCEEDED),
        ("mock+decline", "", State.STATE_DECLINED, State.STATE_SUCCEEDED),
        ("Ada", "mock+update.decline@example.com", State.STATE_SUCCEEDED, State.STATE_DECLINED),
        ("Ada", "mock+action_required@example.com", State.STATE_DECLINED, State.STATE_SUCCEEDED),
    ],
)
async def test_a_customer_is_decided_by_name_or_mail_address(
    core: rig.Core, name: str, email: str, created: int, updated: int
) -> None:
    """Customers have no token, so the scenario is in what is known of them."""
    made = await core.create_customer(name=name, email=email)
    assert made.state == created
    assert bool(made.provider_object_id) == (created == State.STATE_SUCCEEDED)
    known = await core.create_customer(name="Grace")
    changed = await core.update_customer(known.provider_object_id, name=name, email=email)
    assert changed.state == updated


async def test_an_unknown_customer_can_not_be_updated(core: rig.Core) -> None:
    """NOT_FOUND with effect none; a customer of another binding counts as unknown."""
    with pytest.raises(rig.Refused) as refused:
        await core.update_customer("mcus_of_nobody", name="Ada")
    assert (refused.value.reason, refused.value.effect) == ("NOT_FOUND", "NONE")


async def test_the_global_switch_overrides_every_instrument(core: rig.Core) -> None:
    """`force` in a binding's configuration wins over tokens, per kind if it names one."""
    paid = await core.authorize()
    await core.configure('{"force": "decline_do_not_honor"}', generation=2)
    assert (await core.authorize()).state == State.STATE_DECLINED
    assert (await core.capture(paid, 1)).state == State.STATE_DECLINED
    assert (await core.create_customer(name="Ada")).state == State.STATE_DECLINED
    await core.configure('{"force": "capture.decline_other"}', generation=3)
    assert (await core.authorize()).state == State.STATE_SUCCEEDED
    assert (await core.capture(paid, 1)).state == State.STATE_DECLINED


async def test_the_processes_switch_and_automatic_actions_come_from_the_environment(
    start_mock: Any,
) -> None:
    """PROVIDER_MOCK_FORCE forces all bindings; actions complete by themselves if so set."""
    mock = start_mock(
        {
            "PROVIDER_MOCK_FORCE": "authorize.action_required",
            "PROVIDER_MOCK_ACTION_AUTO_S": "0.05",
            "PROVIDER_MOCK_LATENCY_MS": "1",
            "PROVIDER_MOCK_JITTER_MS": "1",
        }
    )
    core = rig.Core(mock.target)
    await core.connect()
    waiting = await core.authorize()
    assert waiting.state == State.STATE_ACTION_REQUIRED
    # Nobody asks: the provider's own loop settles it.
    await rig.until(lambda: mock.effects(waiting.operation_id)[0]["state"] == "SUCCEEDED")
    await core.close()
    assert mock.stop() == 0
