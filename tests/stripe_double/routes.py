"""All routes of the API, in the order in which they are tried."""

from tests.stripe_double import (
    calls,
    charges,
    customers,
    events,
    payment_intents,
    payment_methods,
    refunds,
)

ROUTES: list[calls.Route] = [
    *payment_intents.ROUTES,
    *charges.ROUTES,
    *refunds.ROUTES,
    *customers.ROUTES,
    *payment_methods.ROUTES,
    *events.ROUTES,
]
