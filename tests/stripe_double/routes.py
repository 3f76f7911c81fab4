"""All routes of the API, in the order in which they are tried."""

from tests.stripe_double import (
    calls,
    catalog,
    charges,
    checkout,
    customers,
    disputes,
    events,
    invoices,
    payment_intents,
    payment_methods,
    refunds,
    setup_intents,
    subscriptions,
)

ROUTES: list[calls.Route] = [
    *payment_intents.ROUTES,
    *charges.ROUTES,
    *refunds.ROUTES,
    *customers.ROUTES,
    *payment_methods.ROUTES,
    *setup_intents.ROUTES,
    *catalog.ROUTES,
    *subscriptions.ROUTES,
    *invoices.ROUTES,
    *checkout.ROUTES,
    *disputes.ROUTES,
    *events.ROUTES,
]
