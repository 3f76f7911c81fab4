"""Payments at Stripe: PaymentIntents and Refunds.

Owns what is sent for each money operation and how its answer is read; `lookup` reads the
same objects by the same functions. Called by `provider`. Never keeps anything.
"""

from collections.abc import Mapping
from typing import Any

from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors, provider
from provider_stripe import calling, config, declines, failures, marks, money, statuses, transport

_O = operation_pb2.Operation
_REASONS = {"requested_by_customer", "duplicate", "fraudulent"}
_EXPANDED = ["latest_charge", "payment_method"]

Call = provider.Call[config.StripeConfig]


async def authorize(
    account: transport.Account, request: pps.AuthorizePaymentRequest, call: Call
) -> tuple[operation_pb2.Operation, calling.Reply | None]:
    """Makes and confirms a PaymentIntent; returns it beside the operation."""
    params = _intent_params(account, request, call)
    if request.previous_provider_payment_id:
        await _end(account, request.previous_provider_payment_id, call)
    try:
        answer = await calling.send(
            account,
            calling.Deadline(calling.REQUEST_MAX_S),
            call,
            lambda: account.api.payment_intents.create_async(
                params, {"idempotency_key": call.operation_id}
            ),
            lambda made: account.api.payment_intents.retrieve_async(made, {"expand": _EXPANDED}),
        )
    except failures.Declined as declined:
        return declined_operation(declined.decline, declined.object_id), None
    return of_intent(answer, call.operation_id), answer


def _intent_params(
    account: transport.Account, request: pps.AuthorizePaymentRequest, call: Call
) -> dict[str, Any]:
    automatic = request.capture_method == pps.CAPTURE_METHOD_AUTOMATIC
    params: dict[str, Any] = {
        "amount": money.to_stripe(request.amount),
        "currency": request.amount.currency_code.lower(),
        "capture_method": "automatic" if automatic else "manual",
        "confirm": True,
        "metadata": marks.made_by(call.operation_id, request.payment_id),
        "expand": _EXPANDED,
    }
    if request.payment_method.startswith("tok_"):
        params["payment_method_data"] = {"type": "card", "card": {"token": request.payment_method}}
    else:
        params["payment_method"] = request.payment_method
    if request.provider_customer_id:
        params["customer"] = request.provider_customer_id
    if request.description:
        params["description"] = request.description
    if account.config.statement_descriptor_suffix:
        params["statement_descriptor_suffix"] = account.config.statement_descriptor_suffix
    if request.save_payment_method:
        params["setup_future_usage"] = "off_session"
    if not automatic:
        card = {"request_incremental_authorization": "if_available"}
        params["payment_method_options"] = {"card": card}
    methods: dict[str, Any] = {"enabled": True}
    if request.return_url and not request.off_session:
        params["return_url"] = request.return_url
    else:
        methods["allow_redirects"] = "never"
    params["automatic_payment_methods"] = methods
    if request.off_session:
        params["off_session"] = True
    elif not call.customer_action_allowed:
        params["error_on_requires_action"] = True
    return params


async def capture(
    account: transport.Account, request: pps.CapturePaymentRequest, call: Call
) -> operation_pb2.Operation:
    """Captures; Stripe releases the remainder, so an operation that is not final is refused."""
    if not request.final:
        intent = await _retrieve(account, request.provider_payment_id)
        if money.to_stripe(request.amount) < int(intent.told.get("amount_capturable") or 0):
            raise errors.NotSupported("Stripe releases what a capture leaves; make it final")
    amount = money.to_stripe(request.amount)
    params = {
        "amount_to_capture": amount,
        "metadata": marks.done(call.operation_id, "capture", amount),
    }
    try:
        answer = await calling.send(
            account,
            calling.Deadline(calling.REQUEST_MAX_S),
            call,
            lambda: account.api.payment_intents.capture_async(
                request.provider_payment_id, params, {"idempotency_key": call.operation_id}
            ),
            account.api.payment_intents.retrieve_async,
        )
    except failures.Declined as declined:
        return declined_operation(declined.decline, request.provider_payment_id)
    return of_step(answer, call.operation_id)


async def increment(
    account: transport.Account, request: pps.IncrementAuthorizationRequest, call: Call
) -> operation_pb2.Operation:
    """Raises an authorization to its new total."""
    added = money.to_stripe(request.amount)
    params = {
        "amount": money.to_stripe(request.total, field="total"),
        "metadata": marks.done(call.operation_id, "increment", added),
    }
    try:
        answer = await calling.send(
            account,
            calling.Deadline(calling.REQUEST_MAX_S),
            call,
            lambda: account.api.payment_intents.increment_authorization_async(
                request.provider_payment_id, params, {"idempotency_key": call.operation_id}
            ),
            # What was raised once was raised, whatever the payment came to.
            None,
        )
    except failures.Declined as declined:
        return declined_operation(declined.decline, request.provider_payment_id)
    return of_step(answer, call.operation_id)


async def void(account: transport.Account, intent_id: str, call: Call) -> operation_pb2.Operation:
    """Cancels a PaymentIntent, or says that it can't be any more."""
    key = call.operation_id
    try:
        answer = await _cancel(account, intent_id, call, key)
    except errors.NoAnswer as error:
        if not failures.is_replayed(error.__cause__):
            raise
        # Stripe repeats its own fault as long as it keeps the key; to cancel twice does nothing.
        answer = await _cancel(account, intent_id, call, f"{key}:{call.attempt}")
    return of_void(answer, call.operation_id)


async def _cancel(
    account: transport.Account, intent_id: str, call: Call, key: str
) -> calling.Reply:
    """Returns a PaymentIntent that is canceled, now or before."""
    deadline = calling.Deadline(calling.REQUEST_MAX_S)
    try:
        return await calling.send(
            account,
            deadline,
            call,
            lambda: account.api.payment_intents.cancel_async(
                intent_id, {}, {"idempotency_key": key}
            ),
            # Nothing follows a cancellation.
            None,
        )
    except errors.StateConflict:
        answer = await calling.read(
            account, deadline, lambda: account.api.payment_intents.retrieve_async(intent_id)
        )
        if answer.told.get("status") != "canceled":
            raise
        return answer


async def _end(account: transport.Account, intent_id: str, call: Call) -> None:
    """Cancels what an earlier attempt made: who has its client secret could still pay it.

    Raises:
        errors.StateConflict: It was paid.
        errors.ProviderError: It may not be ended; nothing else was done.
    """
    try:
        # A key of each attempt: Stripe repeats what it once answered, its own faults too.
        key = f"{call.operation_id}:previous:{call.attempt}"
        await _cancel(account, intent_id, call, key)
    except errors.NotFound:
        # Of an account that the binding no longer uses.
        return
    except errors.StateConflict:
        text = "an earlier attempt was paid meanwhile, or is about to be"
        raise errors.StateConflict(text) from None


async def refund(
    account: transport.Account, request: pps.RefundPaymentRequest, call: Call
) -> operation_pb2.Operation:
    """Makes a Refund."""
    params: dict[str, Any] = {
        "payment_intent": request.provider_payment_id,
        "amount": money.to_stripe(request.amount),
        "metadata": marks.made_by(call.operation_id),
    }
    if request.reason in _REASONS:
        params["reason"] = request.reason
    elif request.reason:
        params["metadata"]["payhub_reason"] = request.reason
    try:
        answer = await calling.send(
            account,
            calling.Deadline(calling.REQUEST_MAX_S),
            call,
            lambda: account.api.refunds.create_async(
                params, {"idempotency_key": call.operation_id}
            ),
            account.api.refunds.retrieve_async,
        )
    except failures.Declined as declined:
        return declined_operation(declined.decline, request.provider_payment_id)
    return of_refund(answer, call.operation_id)


def of_intent(answer: calling.Reply, operation_id: str) -> operation_pb2.Operation:
    """Returns what an AUTHORIZE or SALE that made a PaymentIntent came to."""
    told = answer.told
    status = str(told.get("status"))
    operation = _O(
        operation_id=operation_id,
        state=statuses.PAYMENT_INTENT.get(status, _O.STATE_UNSPECIFIED),
        provider_object_id=str(told["id"]),
        provider_operation_id=str(told["id"]),
    )
    _stamp(operation, answer)
    if not is_begun(told):
        operation.state = _O.STATE_PENDING
    if status == "canceled" and _was_authorized(told):
        # Ended later, by a void or because it expired; the authorization had succeeded.
        operation.state = _O.STATE_SUCCEEDED
    if operation.state == _O.STATE_SUCCEEDED:
        # What was added later belongs to other operations.
        amount = int(told["amount"]) - marks.sum_of(told.get("metadata"), "increment")
        operation.amount.CopyFrom(money.from_stripe(amount, str(told["currency"])))
    elif operation.state == _O.STATE_DECLINED:
        operation.decline.CopyFrom(declines.of_error(told.get("last_payment_error")))
    elif operation.state == _O.STATE_ACTION_REQUIRED:
        _act(operation, told)
    return operation


def is_begun(told: calling.Json) -> bool:
    """Whether Stripe has tried to pay; while it confirms what it made, it has not yet."""
    if told.get("status") == "requires_payment_method":
        return bool(told.get("last_payment_error"))
    return told.get("status") != "requires_confirmation"


def _was_authorized(told: calling.Json) -> bool:
    charge = told.get("latest_charge")
    return isinstance(charge, Mapping) and charge.get("status") == "succeeded"


def _act(operation: operation_pb2.Operation, told: calling.Json) -> None:
    redirect = (told.get("next_action") or {}).get("redirect_to_url") or {}
    operation.action.redirect_url = str(redirect.get("url") or "")
    operation.action.client_secret = str(told.get("client_secret") or "")


def of_step(answer: calling.Reply, operation_id: str) -> operation_pb2.Operation:
    """Returns what a CAPTURE or INCREMENT left on its PaymentIntent.

    Raises:
        errors.NotFound: It left nothing there.
    """
    told = answer.told
    entry = marks.read(told.get("metadata"), operation_id)
    if entry is None:
        raise errors.NotFound("the payment does not know the operation")
    state, amount = _O.STATE_SUCCEEDED, entry.amount
    if entry.what == "capture":
        state = statuses.CAPTURED.get(str(told.get("status")), _O.STATE_UNSPECIFIED)
        if state == _O.STATE_SUCCEEDED:
            # The mark only says what was asked for.
            amount = int(told.get("amount_received") or amount)
    operation = _O(
        operation_id=operation_id,
        state=state,
        provider_object_id=str(told["id"]),
        provider_operation_id=operation_id,
    )
    operation.amount.CopyFrom(money.from_stripe(amount, str(told["currency"])))
    if state == _O.STATE_DECLINED:
        operation.decline.CopyFrom(declines.of_error(told.get("last_payment_error")))
    _stamp(operation, answer)
    return operation


def of_void(answer: calling.Reply, operation_id: str) -> operation_pb2.Operation:
    """Returns the success of a VOID; whoever canceled the PaymentIntent, it is."""
    operation = _O(
        operation_id=operation_id,
        state=_O.STATE_SUCCEEDED,
        provider_object_id=str(answer.told["id"]),
        provider_operation_id=str(answer.told["id"]),
    )
    _stamp(operation, answer)
    return operation


def of_refund(answer: calling.Reply, operation_id: str) -> operation_pb2.Operation:
    """Returns what a Refund came to."""
    told = answer.told
    operation = _O(
        operation_id=operation_id,
        state=statuses.REFUND.get(str(told.get("status")), _O.STATE_UNSPECIFIED),
        provider_object_id=str(told.get("payment_intent") or ""),
        provider_operation_id=str(told["id"]),
    )
    operation.amount.CopyFrom(money.from_stripe(int(told["amount"]), str(told["currency"])))
    if operation.state == _O.STATE_DECLINED:
        code = str(told.get("failure_reason") or told.get("status"))
        operation.decline.reason = operation_pb2.DECLINE_REASON_OTHER
        operation.decline.provider_code = errors.cut(code)
    _stamp(operation, answer)
    return operation


def declined_operation(
    decline: operation_pb2.Decline, object_id: str = ""
) -> operation_pb2.Operation:
    """Returns a declined operation."""
    operation = _O(state=_O.STATE_DECLINED, provider_object_id=object_id, decline=decline)
    operation.state_time.GetCurrentTime()
    return operation


async def _retrieve(account: transport.Account, intent_id: str) -> calling.Reply:
    return await calling.read(
        account,
        calling.Deadline(calling.REQUEST_MAX_S),
        lambda: account.api.payment_intents.retrieve_async(intent_id),
    )


def _stamp(operation: operation_pb2.Operation, answer: calling.Reply) -> None:
    operation.state_time.FromSeconds(int(answer.at_s))
