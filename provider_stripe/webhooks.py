"""Stripe's webhooks: whose they are, whether they are Stripe's, what they tell.

Owns the table of event types. Called by `provider`. Asks nobody: where money moved or will
not, or where the event is of another API version, it tells core what to ask for. The
signature is checked by the SDK's own code, the time against when core received the request.
Source: Stripe's documentation, "Types of events", "Webhook signatures".
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import stripe
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import provider_object_pb2 as pb

from provider_sdk import calls
from provider_stripe import calling, config, marks, objects, payments, transport

SIGNATURE = "stripe-signature"
TOLERANCE_S = 300.0

Binding = calls.Binding[config.StripeConfig]
Translate = Callable[[nps.VerifyWebhookResponse, calling.Reply], None]


def parse(request: nps.WebhookRequest) -> nps.ParseWebhookResponse:
    """Returns whom a webhook says it is for; nothing of it is to be trusted."""
    event = _event(request.body)
    return nps.ParseWebhookResponse(
        provider_account_id=_said(event, "account"),
        provider_event_id=_said(event, "id"),
        event_type=_said(event, "type"),
    )


def _said(event: Mapping[str, Any], name: str) -> str:
    # JSON can spell halves of characters, which no text may hold.
    return str(event.get(name) or "")[:255].encode(errors="replace").decode()


def verify(request: nps.VerifyWebhookRequest, binding: Binding) -> nps.VerifyWebhookResponse:
    """Checks a webhook's signature and says what it tells."""
    received_s = request.request.receive_time.ToMicroseconds() / 1_000_000
    tolerance_s = TOLERANCE_S
    if request.HasField("tolerance"):
        tolerance_s = request.tolerance.ToMicroseconds() / 1_000_000
    header = next((h.value for h in request.request.headers if h.name == SIGNATURE), "")
    secrets = [s.reveal() for s in binding.secrets.get(config.WEBHOOK_SECRET, ())]
    problem = check(request.request.body, header, secrets, received_s, tolerance_s)
    if problem:
        return nps.VerifyWebhookResponse(authenticity=nps.AUTHENTICITY_FAILED, detail=problem)
    event = _event(request.request.body)
    if event.get("object") != "event" or not event.get("id"):
        return nps.VerifyWebhookResponse(
            authenticity=nps.AUTHENTICITY_MALFORMED, detail="not an event of Stripe's"
        )
    return translate(event, binding.config.account)


def check(
    body: bytes, header: str, secrets: Sequence[bytes], received_s: float, tolerance_s: float
) -> str:
    """Returns why a signature does not hold, or '' if one of *secrets* made it in time."""
    if not secrets:
        return "the binding has no webhook_secret"
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body.decode(), header, secret.decode())
        except (stripe.SignatureVerificationError, ValueError):
            continue
        if _signed_s(header) < received_s - tolerance_s:
            late_s = round(received_s - _signed_s(header))
            return f"signed {late_s} s before core's clock says that it came: too long ago"
        return ""
    return "not signed by any secret of the binding"


def _signed_s(header: str) -> int:
    for part in header.split(","):
        name, _, value = part.partition("=")
        if name == "t":
            return int(value)
    return 0


def _event(body: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def translate(event: Mapping[str, Any], account: str) -> nps.VerifyWebhookResponse:
    """Returns what an authentic event tells a binding that acts for *account*."""
    kind = str(event.get("type") or "")
    told = nps.VerifyWebhookResponse(
        authenticity=nps.AUTHENTICITY_AUTHENTIC,
        provider_event_id=str(event["id"])[:255],
        event_type=kind[:255],
    )
    told.event_time.FromSeconds(int(event.get("created") or 0))
    body = (event.get("data") or {}).get("object")
    translator = EVENTS.get(kind)
    ours = str(event.get("account") or "") in ("", account)
    if translator is None or not ours or not isinstance(body, dict) or not body.get("id"):
        told.irrelevant = True
        return told
    if event.get("api_version") != transport.API_VERSION:
        _only_names(told, body)
        return told
    try:
        translator(told, calling.Reply(body, float(event.get("created") or 0)))
    except (KeyError, TypeError, ValueError, AttributeError):
        # Not of the shape its version declares: what is asked for has it.
        _only_names(told, body)
    return told


def _only_names(told: nps.VerifyWebhookResponse, body: Mapping[str, Any]) -> None:
    """Tells what to ask for, and nothing of what the event says."""
    del told.operations[:]
    del told.objects[:]
    del told.refetch[:]
    metadata = body.get("metadata") or {}
    if isinstance(metadata, dict) and metadata.get(marks.OPERATION):
        told.operations.add(operation_id=str(metadata[marks.OPERATION])[:64])
    kind = objects.KINDS.get(str(body.get("object")))
    if kind is not None:
        _ask(told, kind, str(body["id"]))
    elif body.get("payment_intent"):
        _ask(told, pb.OBJECT_KIND_PAYMENT, objects.reference(body["payment_intent"]))
    told.irrelevant = not (told.operations or told.refetch)


def _ask(told: nps.VerifyWebhookResponse, kind: pb.ObjectKind, object_id: str) -> None:
    if object_id:
        told.refetch.add(kind=kind, provider_object_id=object_id)


# One per group of events -----------------------------------------------------------


def _payment(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    operation_id = str((reply.told.get("metadata") or {}).get(marks.OPERATION, ""))
    if operation_id:
        told.operations.append(payments.of_intent(reply, operation_id))
    told.objects.append(objects.payment(reply.told, reply.at_s))


def _money(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    # A failure too: webhooks come late, and the payer may have paid by another card since.
    _payment(told, reply)
    _ask(told, pb.OBJECT_KIND_PAYMENT, str(reply.told["id"]))


def _refund(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    operation_id = str((reply.told.get("metadata") or {}).get(marks.OPERATION, ""))
    if operation_id:
        told.operations.append(payments.of_refund(reply, operation_id))
    _ask(told, pb.OBJECT_KIND_PAYMENT, objects.reference(reply.told.get("payment_intent")))
    told.irrelevant = not (told.operations or told.refetch)


def _charge(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    _ask(told, pb.OBJECT_KIND_PAYMENT, objects.reference(reply.told.get("payment_intent")))
    told.irrelevant = not told.refetch


def _dispute(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    told.objects.append(objects.dispute(reply.told, reply.at_s))
    _ask(told, pb.OBJECT_KIND_DISPUTE, str(reply.told["id"]))


def _subscription(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    found = objects.subscription(reply.told, reply.at_s)
    told.objects.append(found)
    if found.subscription.state == pb.SubscriptionObject.STATE_PENDING:
        # What the payer has to do is not in the event.
        _ask(told, pb.OBJECT_KIND_SUBSCRIPTION, str(reply.told["id"]))


def _trial_ending(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    _subscription(told, reply)
    told.notices.append("subscription.trial_ending")


def _invoice(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    told.objects.append(objects.invoice(reply.told, reply.at_s))


def _overdue(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    found = objects.invoice(reply.told, reply.at_s)
    found.invoice.overdue = found.invoice.state == pb.InvoiceObject.STATE_OPEN
    told.objects.append(found)


def _invoice_money(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    _invoice(told, reply)
    _ask(told, pb.OBJECT_KIND_INVOICE, str(reply.told["id"]))


def _checkout(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    told.objects.append(objects.checkout(reply.told, reply.at_s))


def _checkout_money(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    _checkout(told, reply)
    _ask(told, pb.OBJECT_KIND_CHECKOUT, str(reply.told["id"]))


def _method(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    # Whether it is the customer's default is not in the event.
    _ask(told, pb.OBJECT_KIND_PAYMENT_METHOD, str(reply.told["id"]))


def _price(told: nps.VerifyWebhookResponse, reply: calling.Reply) -> None:
    told.objects.append(objects.plan(reply.told, reply.at_s))


EVENTS: Mapping[str, Translate] = {
    "payment_intent.amount_capturable_updated": _money,
    "payment_intent.canceled": _money,
    "payment_intent.partially_funded": _money,
    "payment_intent.payment_failed": _money,
    "payment_intent.processing": _payment,
    "payment_intent.requires_action": _payment,
    "payment_intent.succeeded": _money,
    "charge.refunded": _charge,
    "charge.refund.updated": _refund,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.closed": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
    "customer.subscription.created": _subscription,
    "customer.subscription.updated": _subscription,
    "customer.subscription.deleted": _subscription,
    "customer.subscription.paused": _subscription,
    "customer.subscription.resumed": _subscription,
    "customer.subscription.trial_will_end": _trial_ending,
    "invoice.created": _invoice,
    "invoice.updated": _invoice,
    "invoice.finalized": _invoice,
    "invoice.marked_uncollectible": _invoice,
    "invoice.voided": _invoice,
    "invoice.overdue": _overdue,
    "invoice.paid": _invoice_money,
    "invoice.payment_succeeded": _invoice_money,
    "invoice.payment_failed": _invoice_money,
    "invoice.payment_action_required": _invoice_money,
    "checkout.session.completed": _checkout_money,
    "checkout.session.async_payment_succeeded": _checkout_money,
    "checkout.session.async_payment_failed": _checkout_money,
    "checkout.session.expired": _checkout,
    "payment_method.attached": _method,
    "payment_method.detached": _method,
    "payment_method.updated": _method,
    "payment_method.automatically_updated": _method,
    "price.created": _price,
    "price.updated": _price,
}
