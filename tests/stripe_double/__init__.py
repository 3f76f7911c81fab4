"""A strict double of Stripe's REST API that tests and the demo speak to.

Owns what Stripe would answer, charge and send, over real HTTP on loopback, for the official
SDK with its base address pointed here. Started by tests, by the conformance run of
provider_stripe and by hand: `python -m tests.stripe_double --port 0 --state FILE`.
docs/stripe-doubles.md says what it proves and what it can't.
"""
