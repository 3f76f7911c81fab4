"""The command that holds more of an authorized payment: increment.

Owns its options. Called through `payctl.commands`. Never guesses: an increment that the
provider did not confirm is undecided.
"""

import typer
from payhub.payments.v1 import payment_pb2

import payhub_client
from payctl import outcomes, payments, session


def increment(
    ctx: typer.Context,
    payment_id: payments.PaymentId,
    amount: payments.Amount,
    *,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Hold AMOUNT more of an authorized payment, where the provider can."""
    once = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        amount_minor, currency = await payments.amount_of(
            client, payment_id, amount, timeout_s=timeout_s
        )
        assert amount_minor is not None
        payment = await client.payments.increment_authorization(
            payment_id,
            amount_minor=amount_minor,
            currency=currency,
            idempotency_key=once,
            timeout_s=timeout_s,
        )
        code = outcomes.of_last_operation(payment, payment_pb2.Operation.KIND_INCREMENT)
        return payments.shown(payment, as_json=as_json, code=code)

    session.run(ctx, work, as_json=as_json, key=once)
