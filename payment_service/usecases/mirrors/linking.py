"""What a snapshot refers to, in core's ids, and what refers to it.

Owns finding customers and entities by their ids at the provider, and completing those who
named an object before core knew it. Called while a snapshot is absorbed, inside its
transaction.
"""

from dataclasses import dataclass, replace

from payment_service.db import mirrors, payments, provider_objects, rows
from payment_service.domain.mirrors import base, checkouts, invoices, objects, subscriptions
from payment_service.usecases.mirrors import scopes, writing
from servicekit import storage

_K = objects.ObjectKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The links of a snapshot.

    `missing` are objects that core must know before it can apply the snapshot; `wanted` are
    objects that belong to the snapshot's and should be fetched after it.
    """

    links: base.Links
    missing: tuple[objects.Reference, ...] = ()
    wanted: tuple[objects.Reference, ...] = ()


def resolve(conn: storage.Connection, scope: scopes.Scope, seen: objects.Seen) -> Found:
    """Returns the links of a snapshot, and what is not known of them."""
    match seen:
        case objects.PaymentMethod():
            customer_id, user_id = _customer(conn, scope, seen.provider_customer_id)
            return Found(links=base.Links(customer_id=customer_id, user_id=user_id))
        case objects.Subscription():
            return _of_subscription(conn, scope, seen)
        case objects.Invoice():
            return _of_invoice(conn, scope, seen)
        case objects.Payment():
            return _of_payment(conn, scope, seen)
        case objects.Checkout():
            return _of_checkout(conn, scope, seen)
        case objects.Dispute():
            return _of_dispute(conn, scope, seen)
        case _:
            return Found(links=base.Links())


def _of_subscription(
    conn: storage.Connection, scope: scopes.Scope, seen: objects.Subscription
) -> Found:
    customer_id, user_id = _customer(conn, scope, seen.provider_customer_id)
    invoice_id, wanted = _find(conn, scope, _K.INVOICE, seen.provider_invoice_id)
    plan_id, _ = _find(conn, scope, _K.PLAN, seen.provider_price_id)
    method_id, _ = _find(conn, scope, _K.PAYMENT_METHOD, seen.provider_payment_method_id)
    links = base.Links(
        customer_id=customer_id,
        user_id=user_id,
        plan_id=plan_id,
        invoice_id=invoice_id,
        payment_method_id=method_id,
    )
    return Found(links=links, wanted=wanted)


def _of_invoice(conn: storage.Connection, scope: scopes.Scope, seen: objects.Invoice) -> Found:
    customer_id, user_id = _customer(conn, scope, seen.provider_customer_id)
    subscription_id, missing = _find(conn, scope, _K.SUBSCRIPTION, seen.provider_subscription_id)
    if subscription_id:
        # Its lock comes before that of its invoices, for whoever changes both.
        of = mirrors.load(conn, subscriptions.RULES, scope.tenant_id, subscription_id, lock=True)
        if of is not None:
            customer_id, user_id = of.customer_id, of.user_id
    payment_id, wanted = _find(conn, scope, _K.PAYMENT, seen.provider_payment_id)
    links = base.Links(
        customer_id=customer_id,
        user_id=user_id,
        subscription_id=subscription_id,
        payment_id=payment_id,
    )
    return Found(links=links, missing=missing, wanted=wanted)


def _of_payment(conn: storage.Connection, scope: scopes.Scope, seen: objects.Payment) -> Found:
    """One that core made, or has adopted, needs no links."""
    known = provider_objects.find(conn, scope.owner, seen.reference)
    if known or seen.core_id.startswith("pay_"):
        return Found(links=base.Links())
    invoice_id, missing = _find(conn, scope, _K.INVOICE, seen.provider_invoice_id)
    checkout_id, _ = _find(conn, scope, _K.CHECKOUT, seen.provider_checkout_id)
    if not checkout_id and seen.core_id.startswith("chk_"):
        named = mirrors.load(conn, checkouts.RULES, scope.tenant_id, seen.core_id)
        there = named is not None and named.place.binding_id == scope.binding_id
        checkout_id = seen.core_id if there else ""
    customer_id, user_id = _customer(conn, scope, seen.provider_customer_id)
    links = base.Links(
        customer_id=customer_id,
        user_id=user_id,
        invoice_id=invoice_id,
        checkout_id=checkout_id,
    )
    return Found(links=links, missing=missing)


def _of_checkout(conn: storage.Connection, scope: scopes.Scope, seen: objects.Checkout) -> Found:
    """What a checkout of somebody else has led to is not asked for.

    A payment may not know its checkout; that tells of both when it is fetched.
    """
    known = provider_objects.find(conn, scope.owner, seen.reference)
    if not known and not seen.core_id.startswith("chk_"):
        return Found(links=base.Links())
    payment_id, payment = _find(conn, scope, _K.PAYMENT, seen.provider_payment_id)
    subscription_id, subscription = _find(
        conn, scope, _K.SUBSCRIPTION, seen.provider_subscription_id
    )
    customer_id, user_id = _customer(conn, scope, seen.provider_customer_id)
    links = base.Links(
        customer_id=customer_id,
        user_id=user_id,
        payment_id=payment_id,
        subscription_id=subscription_id,
    )
    own = (seen.reference,) if payment else ()
    return Found(links=links, missing=(*own, *subscription))


def _of_dispute(conn: storage.Connection, scope: scopes.Scope, seen: objects.Dispute) -> Found:
    """The payment's metadata name it, or core has adopted it."""
    named = payments.load(conn, scope.tenant_id, seen.payment_id) if seen.payment_id else None
    missing: tuple[objects.Reference, ...] = ()
    if named is None or named.binding_id != scope.binding_id:
        found, missing = _find(conn, scope, _K.PAYMENT, seen.provider_payment_id)
        named = payments.load(conn, scope.tenant_id, found) if found else None
    if named is None:
        return Found(links=base.Links(), missing=missing)
    user_id = named.references.user_id
    return Found(links=base.Links(payment_id=named.id, user_id=user_id))


def _find(
    conn: storage.Connection, scope: scopes.Scope, kind: objects.ObjectKind, name: str
) -> tuple[str, tuple[objects.Reference, ...]]:
    """Returns core's id of an object, and its reference if there is one that is not known."""
    if not name:
        return "", ()
    reference = objects.Reference(kind=kind, provider_object_id=name)
    found = provider_objects.find(conn, scope.owner, reference)
    return found, () if found else (reference,)


def _customer(
    conn: storage.Connection, scope: scopes.Scope, provider_customer_id: str
) -> tuple[str, str]:
    """Returns (customer, user); '' for each that core does not know."""
    found, profile = provider_objects.customer(conn, scope.owner, provider_customer_id)
    return found, rows.load_profile(profile).user_id if profile else ""


def complete(conn: storage.Connection, scope: scopes.Scope, entity: base.Entity) -> None:
    """Links a new entity to those that named its object before core knew it."""
    if not isinstance(entity, invoices.Invoice) or not entity.subscription_id:
        return
    rules = subscriptions.RULES
    of = mirrors.load(conn, rules, scope.tenant_id, entity.subscription_id, lock=True)
    if of is None or of.provider_invoice_id != entity.place.provider_object_id:
        return
    writing.finish(conn, scope, rules, of, replace(of, latest_invoice_id=entity.id))


def paid_by(
    conn: storage.Connection, scope: scopes.Scope, invoice_id: str, payment_id: str
) -> None:
    """Tells an invoice of the payment that pays it, once core has adopted that."""
    rules = invoices.RULES
    invoice = mirrors.load(conn, rules, scope.tenant_id, invoice_id, lock=True)
    if invoice is not None and not invoice.payment_id:
        writing.finish(conn, scope, rules, invoice, replace(invoice, payment_id=payment_id))
