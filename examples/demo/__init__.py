"""Pays a file of orders through a running Payhub and checks every result.

Run as `python -m examples.demo [--orders FILE] [--subscriptions FILE]`. Subscriptions are
lived through after the orders, on the provider's clock; `subscriptions` describes their file.
Each line of the orders is one order, a JSON object:

    id              unique name of the order; sent as the payment's `order_id`
    note            what was bought, where, and how it went, for people
    amount_minor    what the payer owes, in minor units of the currency
    currency        ISO 4217 code
    capture_method  "automatic" (charged at once) or "manual" (held, captured by steps)
    payment_method  token the payment is confirmed with at once; absent: only created
    customer        {name, email}; orders with the same email share one customer
    steps           what happens next, in order; each has `do`:
                      confirm {payment_method}     capture {amount_minor?, more_to_follow?}
                      cancel                       refund {amount_minor?, reason?}
                      act {answer}: the payer's answer at the provider, approve or decline
                      await {state}: go on when the payment is in this state
                      dispute {reason?, amount_minor?, inquiry?}: the payer's bank opens one
                      evidence {texts}             accept
                      decide {won}: the payer's bank decides
    expect          how it must end: `state`, `authorized_minor`, `captured_minor`,
                    `refunded_minor`; where there are any `refunds` (their states, oldest
                    first), `disputes` (likewise) with `disputed_minor` (held back or lost),
                    `failure_reason` (of a failed payment), and
                    `operations_in_doubt` (kinds that must stay unresolved, because the
                    provider contradicts itself and only a person may decide)

`--provider stripe` (`make demo PROVIDER=stripe`) pays the orders through provider_stripe, at the
strict double of Stripe or, with STRIPE_TEST_KEY, at Stripe itself; `stripe_orders` says how they
differ there.

Expectations are written from what the order means, never from what Payhub answered.
"""
