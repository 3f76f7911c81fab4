"""Checks of what core mirrors: methods, plans, subscriptions, checkouts, objects.

Owns rules 74 to 78. Collected by `catalog`. Everything is made through the
provider's own calls; nothing is advanced in time.
"""

import contextlib
from typing import Any

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2

from provider_sdk.conformance import attempts, checks, mirrored
from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import run as runs

State = operation_pb2.Operation
LOOKUP = capability_pb2.CAPABILITY_OPERATION_LOOKUP
FETCH = capability_pb2.CAPABILITY_OBJECT_FETCH
OFF_SESSION = capability_pb2.CAPABILITY_OFF_SESSION
INCREMENT = capability_pb2.CAPABILITY_INCREMENTAL_AUTHORIZATION
SAVE = capability_pb2.CAPABILITY_SAVE_PAYMENT_METHOD

TIMES = 3


@checks.check(
    number=74,
    title="What core mirrors is made once per operation id, however often it is sent, and "
    "other parameters are refused.",
)
async def made_once(run: runs.Run) -> None:
    """Makes one of each, repeats it at once and later, and repeats it with other parameters."""
    binding = await run.new_binding()
    makings = await mirrored.of_every_kind(binding)
    _require(makings)
    for making in makings:
        attempt = making.attempt
        first, *others = await attempts.at_once(attempt, TIMES)
        others.append(await attempt.again().answer())
        mirrored.made(first, making)
        for other in others:
            if other.operation.provider_object_id != first.operation.provider_object_id:
                raise checks.Failed(
                    f"{attempt.name} repeated made another object",
                    fix="send the operation id, or a fixed derivation of it, as idempotency key",
                )
        altered = attempt.again()
        _alter(altered.request)
        await run.expect_status(
            altered.answer(),
            what=f"{attempt.name} repeated with other parameters",
            code=grpc.StatusCode.ALREADY_EXISTS,
            reason="OPERATION_MISMATCH",
            effect="NONE",
            fix="compare the parameters with those the operation id was first sent with",
        )


def _require(found: list[Any]) -> None:
    if not found:
        raise checks.NotProven(
            "the provider declares none of the capabilities", cause=checks.Cause.CAPABILITY
        )


def _alter(request: Any) -> None:
    """Changes what core's own identifier is: the least that makes it another request."""
    for name in ("payment_method_id", "plan_id", "subscription_id", "checkout_id"):
        if name in request.DESCRIPTOR.fields_by_name:
            setattr(request, name, f"{getattr(request, name)[:60]}x")


@checks.check(
    number=75,
    title="A success carries its object with core's identifier, in the answer, in look-ups and "
    "in fetches alike.",
)
async def objects_agree(run: runs.Run) -> None:
    """Makes one of each, and compares what the answer, a look-up and a fetch say of it."""
    binding = await run.new_binding()
    makings = await mirrored.of_every_kind(binding)
    _require(makings)
    for making in makings:
        name = making.attempt.name
        answer = await making.attempt.answer()
        told = mirrored.made(answer, making)
        if run.has(LOOKUP):
            found = await binding.looked_up(making.attempt.operation_id)
            _same(told, mirrored.made(found, making), what=f"{name}, looked up")
        if run.has(FETCH):
            object_id = told.provider_object_id
            fetched = await mirrored.fetch(run, binding, making.kind, object_id)
            _same(told, fetched.object, what=f"{name}, fetched")


def _same(first: mirrored.ProviderObject, later: mirrored.ProviderObject, *, what: str) -> None:
    if (later.provider_object_id, later.core_id) != (first.provider_object_id, first.core_id):
        raise checks.Failed(
            f"{what}: the object is {later.provider_object_id[:64]!r} of core's "
            f"{later.core_id!r}, not {first.provider_object_id[:64]!r} of {first.core_id!r}",
            fix="keep core's identifier in the object's metadata and answer it every time",
        )
    earlier = later.state_time.ToMicroseconds() < first.state_time.ToMicroseconds()
    # Who only knows seconds gives seconds: core fetches again where two of them share one.
    finer = first.state_time.nanos != 0
    if earlier or (finer and later.state_time == first.state_time and later != first):
        raise checks.Failed(
            f"{what}: two accounts of the object that differ can't be put in order",
            fix="let state_time rise with every change, and only then",
        )


@checks.check(
    number=76,
    title="A fetch of what the account does not have is NOT_FOUND with effect none.",
    needs=(FETCH,),
)
async def unknown_is_not_found(run: runs.Run) -> None:
    """Fetches unknown ids of every kind, and what another account has."""
    binding = await run.new_binding()
    other: bindings.Binding | None = None
    kinds = (
        "payment",
        "payment_method",
        "plan",
        "subscription",
        "invoice",
        "checkout",
        "dispute",
    )
    wanted = [(kind, f"{kind}_{run.token()}", binding) for kind in kinds]
    paid = await binding.pay()
    fetched = await mirrored.fetch(run, binding, "payment", paid.provider_object_id)
    if fetched.object.payment.captured_minor != paid.amount.amount_minor:
        raise checks.Failed(
            f"a payment of {paid.amount.amount_minor} is fetched with "
            f"{fetched.object.payment.captured_minor} captured",
            fix="answer with the sums as the provider has them, in minor units",
        )
    with contextlib.suppress(checks.NotProven):
        other = await run.other_account()
        wanted.append(("payment", paid.provider_object_id, other))
    for kind, object_id, asked in wanted:
        whose = "another account's " if asked is other else "an unknown "
        await run.expect_status(
            mirrored.fetch(run, asked, kind, object_id),
            what=f"a fetch of {whose}{kind}",
            code=grpc.StatusCode.NOT_FOUND,
            reason="NOT_FOUND",
            effect="NONE",
        )


@checks.check(
    number=77,
    title="A payment without the payer never asks for one; a kept method pays again.",
    needs=(OFF_SESSION,),
)
async def off_session(run: runs.Run) -> None:
    """Pays off session by an instrument that wants the payer, and by a method that was kept."""
    binding = await run.new_binding()
    if "action_required" in run.profile.instruments:
        request = binding.authorization("action_required")
        request.off_session = True
        answer = (await run.call(run.provider.AuthorizePayment, request)).operation
        refused = operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED
        if answer.state != State.STATE_DECLINED or answer.decline.reason != refused:
            raise checks.Failed(
                f"an off-session payment that wants the payer is in state {answer.state} with "
                f"decline reason {answer.decline.reason}",
                fix="decline it with AUTHENTICATION_FAILED",
            )
    if not run.has(SAVE):
        return
    customer_id = await mirrored.customer(binding)
    saving = binding.authorization()
    saving.provider_customer_id = customer_id
    saving.save_payment_method = True
    saved = await run.call(run.provider.AuthorizePayment, saving)
    run.expect_state(saved.operation, State.STATE_SUCCEEDED, what="a payment that keeps its method")
    kept = [one for one in saved.objects if one.WhichOneof("object") == "payment_method"]
    if len(kept) != 1 or kept[0].payment_method.provider_customer_id != customer_id:
        raise checks.Failed(
            "a payment that keeps its method succeeded without one of its customer in `objects`",
            fix="answer with the payment method that was kept",
        )
    again = binding.authorization()
    again.payment_method = kept[0].provider_object_id
    again.provider_customer_id = customer_id
    again.off_session = True
    paid = (await run.call(run.provider.AuthorizePayment, again)).operation
    run.expect_state(paid, State.STATE_SUCCEEDED, what="an off-session payment by a kept method")


@checks.check(
    number=78,
    title="An increment adds what it says, and is refused once something is captured.",
    needs=(INCREMENT,),
)
async def increments(run: runs.Run) -> None:
    """Raises an authorization, captures the whole, and tries to raise it again."""
    binding = await run.new_binding()
    held = await binding.authorize(sale=False)
    amount_minor = held.amount.amount_minor
    more = binding.incrementing(held, amount_minor // 2, amount_minor + amount_minor // 2)
    raised = (await run.call(run.provider.IncrementAuthorization, more)).operation
    run.expect_state(raised, State.STATE_SUCCEEDED, what="an increment")
    if raised.amount != more.amount:
        raise checks.Failed(
            f"an increment by {more.amount.amount_minor} answers {raised.amount.amount_minor}",
            fix="the amount of the operation is what was added",
        )
    whole = amount_minor + amount_minor // 2
    captured = await binding.capture(held, whole)
    run.expect_state(captured, State.STATE_SUCCEEDED, what="a capture of all that was raised")
    await run.expect_status(
        run.call(run.provider.IncrementAuthorization, binding.incrementing(held, 10, whole + 10)),
        what="an increment of what is captured",
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason="STATE_CONFLICT",
        effect="NONE",
    )
