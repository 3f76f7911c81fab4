"""Customers and their payment methods at Stripe.

Owns what is sent for them. Called by `provider`. Never sees a card number: tokens and
PaymentMethods come from Stripe's own front ends.
"""

from typing import Any

from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.provider.v1 import provider_object_pb2 as pb

from provider_sdk import calls
from provider_stripe import answers, calling, failures, marks, objects, payments, transport

_O = operation_pb2.Operation


async def create(
    account: transport.Account, request: pps.CreateCustomerRequest, call: calling.Call
) -> operation_pb2.Operation:
    """Makes a Customer."""
    details = request.details
    params = _details(details) | {"metadata": marks.made_by(call.operation_id, details.customer_id)}
    return await _customer(
        account,
        call,
        lambda: account.api.customers.create_async(params, {"idempotency_key": call.operation_id}),
    )


async def update(
    account: transport.Account, request: pps.UpdateCustomerRequest, call: calling.Call
) -> operation_pb2.Operation:
    """Replaces what Stripe knows of a Customer."""
    params = _details(request.details) | {"metadata": marks.changed(call.operation_id, "update")}
    return await _customer(
        account,
        call,
        lambda: account.api.customers.update_async(
            request.provider_customer_id, params, {"idempotency_key": call.operation_id}
        ),
    )


def _details(details: pps.CustomerDetails) -> dict[str, Any]:
    # An empty text unsets what was there.
    return {"name": details.name, "email": details.email, "phone": details.phone}


async def _customer(
    account: transport.Account, call: calling.Call, request: answers.Sent
) -> operation_pb2.Operation:
    deadline = calling.Deadline(calling.REQUEST_MAX_S)
    try:
        # Only its id is told, and that stays.
        reply = await calling.send(account, deadline, call, request, None)
    except failures.Declined as declined:
        return payments.declined_operation(declined.decline)
    return of_customer(reply, call.operation_id)


def of_customer(reply: calling.Reply, operation_id: str) -> operation_pb2.Operation:
    """Returns the success of an operation that made or changed a Customer."""
    operation = _O(
        operation_id=operation_id,
        state=_O.STATE_SUCCEEDED,
        provider_object_id=str(reply.told["id"]),
    )
    operation.state_time.FromSeconds(int(reply.at_s))
    return operation


async def attach(
    account: transport.Account, request: mps.AttachPaymentMethodRequest, call: calling.Call
) -> calls.Answer:
    """Keeps a PaymentMethod at its Customer.

    Several requests, each with a key of its own derived from the operation's: a repeat goes
    on where the one before stopped.
    """
    deadline = calling.Deadline(calling.REQUEST_MAX_S)
    key = call.operation_id
    try:
        method_id = request.token
        if method_id.startswith("tok_"):
            made = await calling.send(
                account,
                deadline,
                call,
                lambda: account.api.payment_methods.create_async(
                    {"type": "card", "card": {"token": request.token}},
                    {"idempotency_key": f"{key}:create"},
                ),
                None,
            )
            method_id = str(made.told["id"])
        attached = await calling.send(
            account,
            deadline,
            call,
            lambda: account.api.payment_methods.attach_async(
                method_id, {"customer": request.provider_customer_id}, {"idempotency_key": key}
            ),
            None,
        )
        # A test token like pm_card_visa stands for a PaymentMethod of another id.
        method_id = str(attached.told["id"])
        # It is attached: whatever refuses the rest, something was done.
        replayed = request.set_default and await calling.after_change(
            _make_default(account, deadline, call, request.provider_customer_id, method_id)
        )
        # Last, so that whoever finds the mark knows that all before it was done.
        mark = marks.made_by(key, request.payment_method_id)
        reply = await calling.after_change(
            calling.send(
                account,
                deadline,
                call,
                lambda: account.api.payment_methods.update_async(
                    method_id, {"metadata": mark}, {"idempotency_key": f"{key}:mark"}
                ),
                None,
            )
        )
    except failures.Declined as declined:
        return answers.refused(declined)
    if replayed or reply.replayed:
        # Detached since, or another one made the default.
        now = await calling.after_change(standing(account, deadline, method_id))
        return answers.done(key, now)
    found = objects.payment_method(reply.told, reply.at_s, is_default=request.set_default)
    return answers.done(key, found)


async def set_default(
    account: transport.Account, request: mps.SetDefaultPaymentMethodRequest, call: calling.Call
) -> calls.Answer:
    """Makes a PaymentMethod the one invoices of its Customer are paid by."""
    deadline = calling.Deadline(calling.REQUEST_MAX_S)
    method_id = request.provider_payment_method_id
    try:
        await _make_default(account, deadline, call, request.provider_customer_id, method_id)
    except failures.Declined as declined:
        return answers.refused(declined, method_id)
    found = await calling.after_change(standing(account, deadline, method_id))
    return answers.done(call.operation_id, found)


async def standing(
    account: transport.Account, deadline: calling.Deadline, method_id: str
) -> pb.ProviderObject:
    """Returns a PaymentMethod as it is now, and whether it is its Customer's default.

    Raises:
        errors.ProviderError: As for `calling.read`.
    """
    reply = await calling.read(
        account, deadline, lambda: account.api.payment_methods.retrieve_async(method_id)
    )
    customer_id = objects.reference(reply.told.get("customer"))
    default = await default_of(account, deadline, customer_id) if customer_id else ""
    return objects.payment_method(reply.told, reply.at_s, is_default=default == method_id)


async def default_of(
    account: transport.Account, deadline: calling.Deadline, customer_id: str
) -> str:
    """Returns the PaymentMethod that invoices of a Customer are paid by, or ''.

    Raises:
        errors.ProviderError: As for `calling.read`.
    """
    reply = await calling.read(
        account, deadline, lambda: account.api.customers.retrieve_async(customer_id)
    )
    invoicing = reply.told.get("invoice_settings") or {}
    return objects.reference(invoicing.get("default_payment_method"))


async def _make_default(
    account: transport.Account,
    deadline: calling.Deadline,
    call: calling.Call,
    customer_id: str,
    method_id: str,
) -> bool:
    """Returns whether Stripe had done it before, so that another may be the default now."""
    params = {
        "invoice_settings": {"default_payment_method": method_id},
        "metadata": marks.changed(call.operation_id, "default"),
    }
    reply = await calling.send(
        account,
        deadline,
        call,
        lambda: account.api.customers.update_async(
            customer_id, params, {"idempotency_key": f"{call.operation_id}:default"}
        ),
        None,
    )
    return reply.replayed


async def detach(
    account: transport.Account, request: mps.DetachPaymentMethodRequest, call: calling.Call
) -> calls.Answer:
    """Takes a PaymentMethod from its Customer; one that has none is detached already."""
    deadline = calling.Deadline(calling.REQUEST_MAX_S)
    method_id = request.provider_payment_method_id
    now = await calling.read(
        account, deadline, lambda: account.api.payment_methods.retrieve_async(method_id)
    )
    if not now.told.get("customer"):
        return answers.done(call.operation_id, objects.payment_method(now.told, now.at_s))
    return await answers.send(
        account,
        deadline,
        call,
        lambda: account.api.payment_methods.detach_async(
            method_id, {}, {"idempotency_key": call.operation_id}
        ),
        objects.payment_method,
        object_id=method_id,
        retrieve=account.api.payment_methods.retrieve_async,
    )
