"""What Stripe's statuses mean: one table per kind of object.

Owns the tables. Called by `objects` and by the operations. Never maps a status it does not
know: that is UNSPECIFIED, which core takes for "ask again".
Source: the status fields that the SDK of the pinned API version declares.
"""

from collections.abc import Mapping

from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import provider_object_pb2 as pb

_O = operation_pb2.Operation
_S = pb.SubscriptionObject
_I = pb.InvoiceObject
_C = pb.CheckoutObject
_D = pb.DisputeObject

# `requires_payment_method` is a refusal: every payment is confirmed when it is made.
PAYMENT_INTENT: Mapping[str, operation_pb2.Operation.State] = {
    "requires_payment_method": _O.STATE_DECLINED,
    "requires_confirmation": _O.STATE_PENDING,
    "requires_action": _O.STATE_ACTION_REQUIRED,
    "processing": _O.STATE_PENDING,
    "requires_capture": _O.STATE_SUCCEEDED,
    "succeeded": _O.STATE_SUCCEEDED,
    "canceled": _O.STATE_VOIDED,
}
# The same PaymentIntent, seen from a capture that Stripe has taken on. Each is the last one:
# what can still be captured was not.
CAPTURED: Mapping[str, operation_pb2.Operation.State] = {
    "requires_payment_method": _O.STATE_DECLINED,
    "processing": _O.STATE_PENDING,
    "requires_capture": _O.STATE_PENDING,
    "succeeded": _O.STATE_SUCCEEDED,
    "canceled": _O.STATE_DECLINED,
}
REFUND: Mapping[str, operation_pb2.Operation.State] = {
    "pending": _O.STATE_PENDING,
    "requires_action": _O.STATE_PENDING,
    "succeeded": _O.STATE_SUCCEEDED,
    "failed": _O.STATE_DECLINED,
    "canceled": _O.STATE_DECLINED,
}
SUBSCRIPTION: Mapping[str, pb.SubscriptionObject.State] = {
    "incomplete": _S.STATE_PENDING,
    "incomplete_expired": _S.STATE_EXPIRED,
    "trialing": _S.STATE_TRIALING,
    "active": _S.STATE_ACTIVE,
    "past_due": _S.STATE_PAST_DUE,
    "unpaid": _S.STATE_PAST_DUE,
    "paused": _S.STATE_PAUSED,
    "canceled": _S.STATE_CANCELED,
}
INVOICE: Mapping[str, pb.InvoiceObject.State] = {
    "draft": _I.STATE_DRAFT,
    "open": _I.STATE_OPEN,
    "paid": _I.STATE_PAID,
    "uncollectible": _I.STATE_UNCOLLECTIBLE,
    "void": _I.STATE_VOID,
}
CHECKOUT: Mapping[str, pb.CheckoutObject.State] = {
    "open": _C.STATE_OPEN,
    "complete": _C.STATE_COMPLETED,
    "expired": _C.STATE_EXPIRED,
}
DISPUTE: Mapping[str, pb.DisputeObject.State] = {
    "warning_needs_response": _D.STATE_WARNING,
    "warning_under_review": _D.STATE_WARNING,
    "warning_closed": _D.STATE_WARNING_CLOSED,
    "needs_response": _D.STATE_NEEDS_RESPONSE,
    "appeal_needs_response": _D.STATE_NEEDS_RESPONSE,
    "under_review": _D.STATE_UNDER_REVIEW,
    "appeal_under_review": _D.STATE_UNDER_REVIEW,
    "prevented": _D.STATE_WARNING_CLOSED,
    "won": _D.STATE_WON,
    "lost": _D.STATE_LOST,
}
INTERVAL: Mapping[str, pb.BillingInterval] = {
    "day": pb.BILLING_INTERVAL_DAY,
    "week": pb.BILLING_INTERVAL_WEEK,
    "month": pb.BILLING_INTERVAL_MONTH,
    "year": pb.BILLING_INTERVAL_YEAR,
}
