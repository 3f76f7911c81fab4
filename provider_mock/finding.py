"""What is there: one object with what belongs to it, and what an operation made.

Owns which objects go together. Called for fetches and answers. Only reads.
"""

import json
from collections.abc import Iterable

from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import provider_object_pb2

from provider_mock import schema
from provider_mock.objects import model, store, told
from servicekit import storage

ProviderObject = provider_object_pb2.ProviderObject


def fetch(
    conn: storage.Connection, kind: str, object_id: str, *, binding_id: str, base_url: str
) -> nps.FetchObjectResponse | None:
    """Returns an object of an account as it is, and what belongs to it; None if there is none."""
    if kind == "payment":
        row = _payment(conn, object_id)
        if row is None or row.binding_id != binding_id:
            return None
        return nps.FetchObjectResponse(object=told.payment(conn, row))
    kept = store.find(conn, object_id, binding_id)
    if kept is None or kept.kind != kind:
        return None
    return nps.FetchObjectResponse(
        object=told.kept(conn, kept, base_url=base_url),
        related=list(_related(conn, kept, base_url)),
    )


def made(
    conn: storage.Connection, row: schema.OperationRow | None, *, base_url: str
) -> list[ProviderObject]:
    """Returns what an operation made or changed, as it is now."""
    if row is None or row.state != "SUCCEEDED":
        return []
    object_id = row.object_id
    if row.kind in ("AUTHORIZE", "SALE"):
        object_id = json.loads(row.details)["method_id"] if row.details else ""
    kept = store.by_id(conn, object_id) if object_id else None
    if kept is None:
        return []
    objects = [told.kept(conn, kept, base_url=base_url)]
    if isinstance(kept.body, model.Subscription) and kept.body.invoice_id:
        objects += _invoice(conn, kept.body.invoice_id, base_url)
    return objects


def _related(conn: storage.Connection, kept: store.Kept, base_url: str) -> Iterable[ProviderObject]:
    match kept.body:
        case model.Subscription(invoice_id=invoice_id) if invoice_id:
            yield from _invoice(conn, invoice_id, base_url)
        case model.Invoice(payment_id=payment_id):
            yield from _paid_by(conn, payment_id)
            subscription = store.by_id(conn, kept.parent_id)
            if subscription is not None:
                yield told.kept(conn, subscription, base_url=base_url)
        case model.Checkout(payment_id=payment_id, subscription_id=subscription_id):
            yield from _paid_by(conn, payment_id)
            subscription = store.by_id(conn, subscription_id) if subscription_id else None
            if subscription is not None:
                yield told.kept(conn, subscription, base_url=base_url)
                held = store.body(subscription, model.Subscription)
                if held.invoice_id:
                    yield from _invoice(conn, held.invoice_id, base_url)
        case model.Dispute():
            yield from _paid_by(conn, kept.parent_id)
        case _:
            return


def _invoice(conn: storage.Connection, invoice_id: str, base_url: str) -> list[ProviderObject]:
    """Returns an invoice and the payment that pays it."""
    invoice = store.by_id(conn, invoice_id)
    assert invoice is not None
    payment_id = store.body(invoice, model.Invoice).payment_id
    return [told.kept(conn, invoice, base_url=base_url), *_paid_by(conn, payment_id)]


def _paid_by(conn: storage.Connection, payment_id: str) -> list[ProviderObject]:
    row = _payment(conn, payment_id) if payment_id else None
    return [told.payment(conn, row)] if row is not None else []


def _payment(conn: storage.Connection, payment_id: str) -> schema.PaymentRow | None:
    columns = conn.one(schema.SELECT_PAYMENT, {"object_id": payment_id})
    return schema.PaymentRow._make(columns) if columns is not None else None
