"""Checks of money operations: amounts and outcomes.

Owns rules 33, 37, 39, 40, 43 and 44. Collected by `catalog`. Ceilings are in
`checks_ceilings`, repeats of one operation id in `checks_idempotency`, bad requests in
`checks_requests`.
"""

import asyncio

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2

from provider_sdk.conformance import attempts, checks, refusal
from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import run as runs

State = operation_pb2.Operation

MANUAL_CAPTURE = capability_pb2.CAPABILITY_MANUAL_CAPTURE
SALE = capability_pb2.CAPABILITY_SALE
VOID = capability_pb2.CAPABILITY_VOID
REFUND = capability_pb2.CAPABILITY_REFUND
LOOKUP = capability_pb2.CAPABILITY_OPERATION_LOOKUP

LOOKS = 5
# The least amount that a floating-point number can't hold.
LARGE_MINOR = 2**53 + 1
_ECHO = "echo what was booked, in minor units of the currency's own number of decimals"


def echoes(
    run: runs.Run,
    answer: operation_pb2.Operation,
    attempt: attempts.Attempt,
    *,
    what: str,
    fix: str = _ECHO,
) -> None:
    """Expects *answer* to be the operation that *attempt* asked for, carried out in full."""
    run.expect_state(answer, State.STATE_SUCCEEDED, what=what)
    if answer.operation_id != attempt.operation_id:
        raise checks.Failed(
            f"{what}: the answer is for operation {answer.operation_id[:64]!r}",
            fix="answer with the operation id core sent",
        )
    if not answer.provider_object_id:
        raise checks.Failed(
            f"{what}: provider_object_id is empty",
            fix="give the payment's identifier; later operations name it",
        )
    if answer.amount != attempt.request.amount:
        sent, got = attempt.request.amount, answer.amount
        raise checks.Failed(
            f"{what}: sent {sent.amount_minor} {sent.currency_code}, the answer says "
            f"{got.amount_minor} {got.currency_code or '(no currency)'}",
            fix=fix,
        )


@checks.check(
    number=33,
    title="Authorize, capture and refund work, and echo amount and currency exactly, whatever "
    "the number of decimals or the size.",
)
async def happy_path(run: runs.Run) -> None:
    """Pays in every currency of the profile, by each capture method, and refunds."""
    binding = await run.new_binding()
    for currency in run.profile.currencies:
        for sale in (False, True):
            if not run.has(SALE if sale else MANUAL_CAPTURE):
                continue
            # Not round, so that a wrong number of decimals can't hide.
            amount_minor = run.profile.amount_minor + run.random.randrange(1, 10)
            paying = attempts.authorization(
                binding, amount_minor=amount_minor, currency=currency, sale=sale
            )
            paid = await paying.send()
            echoes(run, paid, paying, what=f"{'a sale' if sale else paying.name} in {currency}")
            if not sale:
                capture = attempts.capture(binding, paid, amount_minor)
                echoes(run, await capture.send(), capture, what=f"a capture in {currency}")
            if run.has(REFUND):
                refund = attempts.refund(binding, paid, amount_minor)
                echoes(run, await refund.send(), refund, what=f"a refund in {currency}")
    await _large(run, binding)


async def _large(run: runs.Run, binding: bindings.Binding) -> None:
    """Most will refuse so much money; who takes it takes exactly that."""
    paying = attempts.authorization(binding, amount_minor=LARGE_MINOR)
    try:
        paid = await paying.send()
    except refusal.Refused:
        return
    if paid.state == State.STATE_SUCCEEDED:
        what = f"an authorization of {LARGE_MINOR} minor units"
        fix = "carry amounts as 64-bit integers, never as floating-point numbers"
        echoes(run, paid, paying, what=what, fix=fix)


@checks.check(
    number=37, title="Different operation ids with the same parameters are different effects."
)
async def different_ids(run: runs.Run) -> None:
    """Sends equal authorizations, and equal refunds of one payment, under two ids."""
    binding = await run.new_binding()
    first, second = await binding.pay(), await binding.pay()
    if first.provider_object_id == second.provider_object_id:
        raise checks.Failed(
            "two authorizations with equal parameters and different ids gave one payment",
            fix="deduplicate on the operation id alone",
        )
    if not run.has(capability_pb2.CAPABILITY_PARTIAL_REFUND):
        return
    whole = first.amount.amount_minor
    part = whole // 2 - 1
    await binding.refund(first, part)
    await binding.refund(first, part)
    await run.expect_status(
        binding.refund(first, whole - 2 * part + 1),
        what="a refund of more than two equal refunds have left",
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason="STATE_CONFLICT",
        effect="NONE",
        fix="count every refund, also those with equal amounts",
    )


@checks.check(
    number=39,
    title="A decline is an OK answer in STATE_DECLINED with a reason and the provider's code.",
)
async def decline_is_a_result(run: runs.Run) -> None:
    """Pays with every declining instrument of the profile."""
    binding = await run.new_binding()
    run.instrument("decline")
    reasons = operation_pb2.DeclineReason
    for name in sorted(run.profile.instruments):
        if name != "decline" and not name.startswith("decline_"):
            continue
        try:
            declined = await binding.authorize(name)
        except refusal.Refused as refused:
            raise checks.Failed(
                f"the instrument `{name}` gave a status: {refused.shown()}",
                fix="answer OK with STATE_DECLINED",
            ) from refused
        run.expect_state(declined, State.STATE_DECLINED, what=f"the instrument `{name}`")
        wanted = f"DECLINE_REASON_{name.removeprefix('decline_').upper()}"
        known = wanted in reasons.keys()  # noqa: SIM118 - an enum wrapper is no mapping
        got = declined.decline.reason
        if not got or (known and got != reasons.Value(wanted)):
            raise checks.Failed(
                f"the instrument `{name}` was declined with reason {got}",
                fix=f"set Decline.reason{f' to {wanted}' if known else ''}",
            )
        if not declined.decline.provider_code:
            raise checks.Failed(
                f"the instrument `{name}` was declined without provider_code",
                fix="say in provider_code what the upstream system called it",
            )


@checks.check(number=40, title="Terminal states never change.")
async def terminal_is_terminal(run: runs.Run) -> None:
    """Looks ended operations up, and repeats them, while later ones touch their payments."""
    binding = await run.new_binding()
    ended: list[tuple[attempts.Attempt, operation_pb2.Operation]] = []
    for name in ("approve", "decline"):
        if name in run.profile.instruments:
            attempt = attempts.authorization(binding, instrument=name)
            ended.append((attempt, await attempt.send()))
    paid = ended[0][1]
    if run.has(MANUAL_CAPTURE):
        capture = attempts.capture(binding, paid, paid.amount.amount_minor)
        ended.append((capture, await capture.send()))
        if run.has(VOID):
            voided = attempts.authorization(binding, sale=False)
            ended.append((voided, await voided.send()))
            await binding.void(ended[-1][1])
    if run.has(REFUND):
        await binding.refund(paid)
    for attempt, first in ended:
        for look in range(LOOKS):
            repeat = look == LOOKS - 1 or not run.has(LOOKUP)
            later = await (attempt.again().send() if repeat else binding.find(attempt.operation_id))
            if later.state != first.state or later.amount != first.amount:
                raise checks.Failed(
                    f"{attempt.name} was {State.State.Name(first.state)} and is "
                    f"{State.State.Name(later.state)} after later operations",
                    fix="keep what became of an operation apart from where its payment stands",
                )
            await asyncio.sleep(0.02)


@checks.check(
    number=43,
    title="A void of what is voided already succeeds.",
    needs=(MANUAL_CAPTURE, VOID),
)
async def void_twice(run: runs.Run) -> None:
    """Voids by payment and by operation id, under one id and under others."""
    binding = await run.new_binding()
    paid = await binding.authorize(sale=False)
    first_id = run.new_operation_id()
    first = await binding.void(paid, operation_id=first_id)
    run.expect_state(first, State.STATE_SUCCEEDED, what="a void")
    for what, target, operation_id in (
        ("the same void again", paid, first_id),
        ("another void of the payment", paid, None),
        ("a void that names only the operation", paid.operation_id, None),
    ):
        try:
            again = await binding.void(target, operation_id=operation_id, attempt=2)
        except refusal.Refused as refused:
            raise checks.Failed(
                f"{what} was refused: {refused.shown()}",
                fix="answer SUCCEEDED if there is nothing left to release",
            ) from refused
        run.expect_state(again, State.STATE_SUCCEEDED, what=what)


@checks.check(
    number=44,
    title="A customer action is asked for only when core offered to handle it; else the "
    "authorization is declined.",
    needs=(capability_pb2.CAPABILITY_CUSTOMER_ACTION,),
)
async def customer_action_only_when_offered(run: runs.Run) -> None:
    """Pays with an instrument that needs the payer, with and without the offer."""
    binding = await run.new_binding()
    run.instrument("action_required")
    asked = await binding.authorize("action_required")
    run.expect_state(asked, State.STATE_ACTION_REQUIRED, what="the instrument `action_required`")
    if not (asked.action.redirect_url or asked.action.client_secret):
        raise checks.Failed(
            "STATE_ACTION_REQUIRED came without anything the payer could do",
            fix="set action.redirect_url or action.client_secret",
        )
    try:
        await run.shake_hands(customer_action=False)
        declined = await binding.authorize("action_required")
    finally:
        await run.shake_hands()
    run.expect_state(
        declined,
        State.STATE_DECLINED,
        what="the instrument `action_required` when core offered no customer action",
        fix="decline with AUTHENTICATION_FAILED unless the handshake offered CUSTOMER_ACTION",
    )
