"""Check 10: capabilities are true.

Owns both sides: what is declared works, what is not is refused. Collected by
`catalog`.
"""

from collections.abc import Awaitable, Callable, Mapping

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import checks, refusal
from provider_sdk.conformance import run as runs

State = operation_pb2.Operation
Try = Callable[[runs.Run, bindings.Binding], Awaitable[None]]

_C = capability_pb2


async def _manual_capture(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.authorize(sale=False)
    run.expect_state(paid, State.STATE_SUCCEEDED, what="the authorization")
    captured = await binding.capture(paid)
    run.expect_state(captured, State.STATE_SUCCEEDED, what="the capture")


async def _sale(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.authorize(sale=True)
    run.expect_state(paid, State.STATE_SUCCEEDED, what="the sale")


async def _partial_capture(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.authorize(sale=False)
    part = await binding.capture(paid, paid.amount.amount_minor // 2, final=True)
    run.expect_state(part, State.STATE_SUCCEEDED, what="the partial capture")


async def _multiple_capture(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.authorize(sale=False)
    half = paid.amount.amount_minor // 2
    for amount_minor, final in ((half, False), (paid.amount.amount_minor - half, True)):
        part = await binding.capture(paid, amount_minor, final=final)
        run.expect_state(part, State.STATE_SUCCEEDED, what="one of two captures")


async def _void(run: runs.Run, binding: bindings.Binding) -> None:
    voided = await binding.void(await binding.authorize(sale=False))
    run.expect_state(voided, State.STATE_SUCCEEDED, what="the void")


async def _refund(run: runs.Run, binding: bindings.Binding) -> None:
    refunded = await binding.refund(await binding.pay())
    run.expect_state(refunded, State.STATE_SUCCEEDED, what="the refund")


async def _partial_refund(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.pay()
    part = await binding.refund(paid, paid.amount.amount_minor // 3)
    run.expect_state(part, State.STATE_SUCCEEDED, what="the partial refund")


async def _customer_action(run: runs.Run, binding: bindings.Binding) -> None:
    asked = await binding.authorize("action_required")
    run.expect_state(asked, State.STATE_ACTION_REQUIRED, what="the instrument `action_required`")
    if not asked.action.redirect_url and not asked.action.client_secret:
        raise checks.Failed(
            "a customer action has neither a redirect_url nor a client_secret",
            fix="say what the payer has to do",
        )


async def _customers(run: runs.Run, binding: bindings.Binding) -> None:
    made = await run.call(run.provider.CreateCustomer, _new_customer(run, binding))
    run.expect_state(made.operation, State.STATE_SUCCEEDED, what="the customer")
    if not made.operation.provider_object_id:
        raise checks.Failed(
            "a customer was made without an id", fix="answer it as provider_object_id"
        )
    update = pps.UpdateCustomerRequest(
        context=binding.context(), provider_customer_id=made.operation.provider_object_id
    )
    update.details.name = "Conformance Renamed"
    changed = await run.call(run.provider.UpdateCustomer, update)
    run.expect_state(changed.operation, State.STATE_SUCCEEDED, what="the change of a customer")


def _new_customer(run: runs.Run, binding: bindings.Binding) -> pps.CreateCustomerRequest:
    request = pps.CreateCustomerRequest(context=binding.context())
    request.details.customer_id = f"cus_{run.token()}"
    request.details.name = "Conformance"
    request.details.email = "conformance@shop.example"
    return request


async def _idempotency(run: runs.Run, binding: bindings.Binding) -> None:
    if run.handshake.upstream_idempotency_retention.ToMicroseconds() <= 0:
        raise checks.Failed(
            "UPSTREAM_IDEMPOTENCY without upstream_idempotency_retention",
            fix="say in the handshake how long upstream remembers an operation id",
        )
    request = binding.authorization()
    first = await run.call(run.provider.AuthorizePayment, request)
    again = await run.call(run.provider.AuthorizePayment, request)
    if first.operation.provider_object_id != again.operation.provider_object_id:
        raise checks.Failed(
            "the repeat of an operation made another payment",
            fix="send the operation id, or a fixed derivation of it, as idempotency key",
        )


async def _lookup(run: runs.Run, binding: bindings.Binding) -> None:
    paid = await binding.authorize()
    found = await binding.find(paid.operation_id)
    run.expect_state(found, paid.state, what="the look-up of an operation")


_WORKS: Mapping[capability_pb2.Capability, Try] = {
    _C.CAPABILITY_MANUAL_CAPTURE: _manual_capture,
    _C.CAPABILITY_SALE: _sale,
    _C.CAPABILITY_PARTIAL_CAPTURE: _partial_capture,
    _C.CAPABILITY_MULTIPLE_CAPTURE: _multiple_capture,
    _C.CAPABILITY_VOID: _void,
    _C.CAPABILITY_REFUND: _refund,
    _C.CAPABILITY_PARTIAL_REFUND: _partial_refund,
    _C.CAPABILITY_CUSTOMER_ACTION: _customer_action,
    _C.CAPABILITY_CUSTOMERS: _customers,
    _C.CAPABILITY_UPSTREAM_IDEMPOTENCY: _idempotency,
    _C.CAPABILITY_OPERATION_LOOKUP: _lookup,
}


@checks.check(number=10, part="a", title="Every declared capability works.")
async def declared_works(run: runs.Run) -> None:
    """Uses each; one without an instrument in the profile leaves the rule unproven."""
    binding = await run.new_binding()
    unproven = []
    for capability, works in _WORKS.items():
        if not run.has(capability):
            continue
        name = _C.Capability.Name(capability)
        try:
            await works(run, binding)
        except refusal.Refused as refused:
            raise checks.Failed(
                f"{name} is declared, and its use is refused: {refused.shown()}",
                fix="serve it, or do not declare it",
            ) from refused
        except checks.Failed as failure:
            raise checks.Failed(
                f"{name} is declared, but {failure.seen}", fix=failure.fix
            ) from failure
        except checks.NotProven as failure:
            unproven.append(f"{name}: {failure.reason}")
    if unproven:
        raise checks.NotProven("; ".join(unproven), cause=checks.Cause.PROFILE)


@checks.check(number=10, part="b", title="Every capability that is not declared is refused.")
async def undeclared_is_refused(run: runs.Run) -> None:
    """Uses what the provider does not declare, or has disabled."""
    binding = await run.new_binding()
    tried = 0
    for capability, method, request in await _uses(run, binding):
        if run.has(capability):
            continue
        tried += 1
        name = _C.Capability.Name(capability)
        refused = await run.expect_status(
            run.call(method, request),
            what=f"the use of {name}, which is not declared",
            code=grpc.StatusCode.UNIMPLEMENTED,
            fix="refuse it with NOT_SUPPORTED, or declare it",
        )
        # gRPC itself refuses a method that is not there, without details.
        if refused.infos or refused.failures:
            found = refused.problems(domain=run.plugin_id)
            if found or refused.effect != "NONE":
                raise checks.Failed(
                    f"the refusal of {name} is {refused.shown()} {'; '.join(found)}".strip(),
                    fix="answer NOT_SUPPORTED with effect NONE",
                )
    run.note(f"{tried} not declared")


async def _uses(
    run: runs.Run, binding: bindings.Binding
) -> list[tuple[capability_pb2.Capability, object, object]]:
    """Returns a request for each capability that is a call or a capture method."""
    paid = await binding.authorize()
    payment_id = paid.provider_object_id
    stub = run.provider
    update = pps.UpdateCustomerRequest(
        context=binding.context(), provider_customer_id="conformance"
    )
    update.details.name = "Conformance"
    return [
        (_C.CAPABILITY_SALE, stub.AuthorizePayment, binding.authorization(sale=True)),
        (_C.CAPABILITY_MANUAL_CAPTURE, stub.AuthorizePayment, binding.authorization(sale=False)),
        (_C.CAPABILITY_MANUAL_CAPTURE, stub.CapturePayment, binding.capturing(payment_id)),
        (
            _C.CAPABILITY_VOID,
            stub.VoidPayment,
            binding.voiding(paid.operation_id, payment_id=payment_id),
        ),
        (_C.CAPABILITY_REFUND, stub.RefundPayment, binding.refunding(payment_id)),
        (_C.CAPABILITY_CUSTOMERS, stub.CreateCustomer, _new_customer(run, binding)),
        (_C.CAPABILITY_CUSTOMERS, stub.UpdateCustomer, update),
    ]
