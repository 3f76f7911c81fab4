"""Adopting: what a provider tells of payments, its own and ours.

Owns finding the payment of a snapshot, making one of a payment that the provider made of an
invoice or a checkout, and comparing sums. Called while snapshots are absorbed, inside their
transaction. An operation that was adopted is never looked up: the provider does not know it
by our id.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from payment_service.db import mirrors, operations, outbox, payments, provider_objects
from payment_service.domain import adoption, changes, elsewhere, model
from payment_service.domain.mirrors import base, kinds, objects
from payment_service.usecases import changing, events
from payment_service.usecases.mirrors import scopes
from servicekit import storage

# The operation is the provider's, not a caller's.
ACTOR = "provider"

_PENDING = model.OperationState.PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a snapshot; `payment_id` is '' for a payment of nobody here."""

    verdict: base.Verdict
    payment_id: str = ""


def absorb_in(
    conn: storage.Connection,
    scope: scopes.Scope,
    seen: objects.Payment,
    links: base.Links,
    *,
    fetched: bool,
) -> Told:
    """Applies a snapshot of a payment, with its events, inside the caller's transaction."""
    payment = _find(conn, scope, seen)
    if payment is None:
        payment = _adopt(conn, scope, seen, links)
        if payment is None:
            return Told(verdict=base.Verdict.FOREIGN)
        verdict = _follow(conn, scope, payment, seen, fetched=True)
        return Told(verdict=base.Verdict.APPLIED, payment_id=payment.id)
    if payment.provider_payment_id and payment.provider_payment_id != seen.provider_object_id:
        # Of an earlier attempt, which has come to nothing.
        return Told(verdict=base.Verdict.REPEAT, payment_id=payment.id)
    if fetched and payment.provider_payment_id and not payment.is_adopted:
        # Whoever made it be asked for, such as a dispute, may know the provider's id alone.
        provider_objects.claim(conn, scope.owner, seen.reference, payment.id)
    verdict = _follow(conn, scope, payment, seen, fetched=fetched)
    return Told(verdict=verdict, payment_id=payment.id)


def _find(
    conn: storage.Connection, scope: scopes.Scope, seen: objects.Payment
) -> model.Payment | None:
    found = provider_objects.find(conn, scope.owner, seen.reference)
    if not found and seen.core_id.startswith("pay_"):
        found = seen.core_id
    if not found:
        return None
    payment = payments.load(conn, scope.tenant_id, found, lock=True)
    # What a provider's metadata claim counts only for payments of that binding.
    if payment is None or payment.binding_id != scope.binding_id:
        return None
    return payment if payment.currency == seen.currency else None


def _adopt(
    conn: storage.Connection, scope: scopes.Scope, seen: objects.Payment, links: base.Links
) -> model.Payment | None:
    """Makes a payment of what an invoice or a checkout has led to; once, whoever tells it."""
    if (not links.invoice_id and not links.checkout_id) or seen.amount_minor <= 0:
        return None
    payment_id, operation_id = scope.new_id("pay"), scope.new_id("op")
    owner = provider_objects.claim(conn, scope.owner, seen.reference, payment_id)
    if owner != payment_id:
        # Another transaction was first; its payment is there by now.
        return payments.load(conn, scope.tenant_id, owner, lock=True) if owner else None
    draft = model.Payment(
        id=payment_id,
        tenant_id=scope.tenant_id,
        state=model.PaymentState.CREATED,
        amount_minor=seen.amount_minor,
        currency=seen.currency,
        capture_method=model.CaptureMethod.AUTOMATIC,
        provider=scope.provider,
        binding_id=scope.binding_id,
        provider_payment_id=seen.provider_object_id,
        references=_references(conn, scope, links),
        invoice_id=links.invoice_id,
        checkout_id=links.checkout_id,
        created_us=scope.now_us,
        updated_us=scope.now_us,
    )
    operation = _operation(scope, draft, operation_id, seen)
    change = adoption.adopt(draft, operation)
    (entry,) = events.of_change(change, scope.cause, scope.new_id)
    changing.write(
        conn,
        [
            payments.insert(change.payment),
            (outbox.APPEND_IF_FIRST, outbox.params(entry)),
            (operations.INSERT, operations.params(operation)),
        ],
    )
    return change.payment


def _operation(
    scope: scopes.Scope, payment: model.Payment, operation_id: str, seen: objects.Payment
) -> model.Operation:
    taken = seen.state is model.OperationState.SUCCEEDED and seen.captured_minor > 0
    return model.Operation(
        id=operation_id,
        tenant_id=payment.tenant_id,
        entity_id=payment.id,
        kind=model.Kind.SALE,
        # What the provider began by itself is with it already.
        state=seen.state if seen.state is _PENDING else model.OperationState.IN_FLIGHT,
        amount_minor=min(seen.captured_minor, payment.amount_minor)
        if taken
        else payment.amount_minor,
        currency=payment.currency,
        provider=payment.provider,
        binding_id=payment.binding_id,
        cause=replace(scope.cause, actor=ACTOR, idempotency_key=""),
        not_after_us=scope.now_us,
        created_us=scope.now_us,
        updated_us=scope.now_us,
    )


def _references(
    conn: storage.Connection, scope: scopes.Scope, links: base.Links
) -> model.References:
    """Returns whom and what a payment is for: as its checkout says, else its invoice."""
    checkout = _entity(conn, scope, objects.ObjectKind.CHECKOUT, links.checkout_id)
    invoice = _entity(conn, scope, objects.ObjectKind.INVOICE, links.invoice_id)
    customer_id, user_id = links.customer_id, links.user_id
    for source in (checkout, invoice):
        customer_id = customer_id or (source.customer_id if source is not None else "")
        user_id = user_id or (source.user_id if source is not None else "")
    return model.References(
        customer_id=customer_id,
        user_id=user_id,
        subscription_id=invoice.subscription_id if invoice is not None else "",
        order_id=checkout.order_id if checkout is not None else "",
        metadata=checkout.metadata if checkout is not None else {},
    )


def _entity(
    conn: storage.Connection, scope: scopes.Scope, kind: objects.ObjectKind, entity_id: str
) -> Any:
    if not entity_id:
        return None
    return mirrors.load(conn, kinds.RULES[kind], scope.tenant_id, entity_id)


def _follow(
    conn: storage.Connection,
    scope: scopes.Scope,
    payment: model.Payment,
    seen: objects.Payment,
    *,
    fetched: bool,
) -> base.Verdict:
    """Leads a payment to what a snapshot tells of it."""
    if seen.state_time_us < payment.provider_time_us:
        return base.Verdict.STALE
    verdict = base.Verdict.REPEAT
    if payment.is_adopted and adoption.differs(payment, seen):
        if seen.state_time_us == payment.provider_time_us and not fetched:
            return base.Verdict.AMBIGUOUS
        again = _operation(scope, payment, scope.new_id("op"), seen)
        for change in adoption.follow(payment, seen, again, scope.now_us):
            payment = _write(conn, scope, change, scope.new_id)
            verdict = base.Verdict.APPLIED
    told = elsewhere.Told(
        refunded_minor=seen.refunded_minor,
        foreign_minor=sum(one.amount_minor for one in seen.foreign_refunds),
        state_time_us=seen.state_time_us,
        fetched=fetched or verdict is base.Verdict.APPLIED,
    )
    compared, difference = elsewhere.absorb(payment, told, scope.now_us)
    if difference is not None:
        _write(conn, scope, difference, scope.new_id)
    return compared if verdict is base.Verdict.REPEAT else verdict


def _write(
    conn: storage.Connection,
    scope: scopes.Scope,
    change: changes.Change,
    new_id: Callable[[str], str],
) -> model.Payment:
    entries = events.of_change(change, scope.cause, new_id)
    changing.write(conn, changing.batch(change, entries))
    return replace(change.payment, revision=change.payment.revision + 1)


def take_in(
    conn: storage.Connection, scope: scopes.Scope, payment_id: str, delta_minor: int
) -> None:
    """Counts what a dispute has taken from its payment, or given back (below 0)."""
    if not delta_minor:
        return
    payment = payments.load(conn, scope.tenant_id, payment_id, lock=True)
    if payment is None:
        raise LookupError(f"{payment_id} vanished")
    change = elsewhere.disputed(payment, delta_minor, scope.now_us)
    if change is not None:
        _write(conn, scope, change, scope.new_id)
