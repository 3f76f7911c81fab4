"""Compares subscriptions and disputes with what was expected; pure checks.

Owns the rules: every subscription as its story ends, what its invoices were paid by, one event
for each step that shows in how it ended. Called by the demo at the end, and by tests with
planted mistakes. Never talks to a process.
"""

import collections
from collections.abc import Iterable, Mapping, Sequence

from payhub.events.v1 import event_pb2

from examples.demo import billing
from payhub_client import BillingSubscription, Invoice, Payment


def check_story(story: billing.Story) -> list[str]:
    """Returns how a subscription differs from what its line expects."""
    if story.error:
        return [story.error]
    expect, found = story.told.expect, story.subscription
    state = BillingSubscription.State.Name(found.state).removeprefix("STATE_")
    facts: list[tuple[str, object, object]] = [
        ("state", expect.state, state),
        ("invoices", dict(expect.invoices), story.invoice_states()),
        ("paid_minor", expect.paid_minor, story.paid_minor()),
    ]
    problems = [
        f"{what} is {actual}, expected {wanted}"
        for what, wanted, actual in facts
        if wanted != actual
    ]
    paid_by = {each.id: each for each in story.payments}
    for invoice in story.invoices:
        problems += _check_invoice(invoice, paid_by, found.id)
    return problems


def _check_invoice(
    invoice: Invoice, paid_by: Mapping[str, Payment], subscription_id: str
) -> list[str]:
    if invoice.state != Invoice.STATE_PAID:
        return []
    payment = paid_by.get(invoice.payment_id)
    if payment is None:
        return [f"{invoice.id}: paid, but by no payment"]
    problems = []
    if payment.references.subscription_id != subscription_id or payment.invoice_id != invoice.id:
        problems.append(f"{payment.id}: does not say which invoice and subscription it is for")
    if payment.amounts.captured_minor != invoice.amount_paid_minor:
        problems.append(f"{invoice.id}: {invoice.amount_paid_minor} is not what its payment took")
    return problems


def check_events(stories: Iterable[billing.Story], stored: Sequence[event_pb2.Event]) -> list[str]:
    """Returns where the events of a subscription do not tell how it stands, each step once."""
    by_entity: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for event in stored:
        by_entity[event.entity_id][event.type] += 1
    problems = []
    for story in stories:
        if story.error:
            continue
        found = story.subscription
        wanted = {
            "subscription.created": 1,
            "subscription.canceled": int(found.state == BillingSubscription.STATE_CANCELED),
        }
        problems += _differences(found.id, by_entity[found.id], wanted)
        for invoice in story.invoices:
            paid = {"invoice.paid": int(invoice.state == Invoice.STATE_PAID)}
            paid["invoice.generated"] = 1
            problems += _differences(invoice.id, by_entity[invoice.id], paid)
    return problems


def versions(stories: Iterable[billing.Story]) -> dict[str, int]:
    """Returns the version of everything that belongs to subscriptions, by id."""
    found: dict[str, int] = {}
    for story in stories:
        found[story.subscription.id] = story.subscription.version
        found[story.method.id] = story.method.version
        found |= {invoice.id: invoice.version for invoice in story.invoices}
        found |= {payment.id: payment.version for payment in story.payments}
    # What could not be made has no id.
    found.pop("", None)
    return found


def _differences(entity_id: str, counts: Mapping[str, int], wanted: Mapping[str, int]) -> list[str]:
    return [
        f"{entity_id}: {counts.get(kind, 0)} {kind} events, expected {count}"
        for kind, count in wanted.items()
        if counts.get(kind, 0) != count
    ]
