"""Canaries: secrets that must be found in no log line and in no event."""

import asyncio

from deploy import stack
from tests.integration.payment_service import conftest, rig


async def test_secrets_are_in_no_log_and_in_no_event(
    hasty: conftest.Service, join: conftest.Join, bank: stack.Stack
) -> None:
    """Tokens, keys, redirects and client secrets, through success, refusal, failure and doubt."""
    caller = await join(hasty)
    tokens = [
        "tok_canary_that_nobody_issued",
        "tok_approve+refund.decline_other+void.approve",
        "tok_action_required+capture.decline_limit_exceeded",
        "tok_no_answer+capture.decline_suspected_fraud",
        "tok_bug+void.decline_do_not_honor",
        "tok_wrong_amount+void.decline_limit_exceeded",
        "tok_not_sent+void.decline_other",
    ]
    payments = await asyncio.gather(*(caller.create(token) for token in tokens))
    created = await caller.create(token="", confirm=False)
    await caller.confirm(created.id, "tok_decline+refund.decline_instrument_expired")
    tokens.append("tok_decline+refund.decline_instrument_expired")
    # Refused before and after the message was read, with the secret in it.
    await rig.refusal(caller.create(f"tok_{'canary' * 50}"))
    await rig.refusal(caller.create("tok_canary_refused", 0))
    await rig.refusal(caller.create("tok_canary_known", provider="nobody"))
    async with rig.Caller(hasty.target, f"{caller.key[:-6]}canary") as stranger:
        await rig.refusal(stranger.create("tok_canary_stranger"))
        wrong_key = stranger.key
    action = payments[2].action
    assert action.redirect_url

    secrets = [
        *tokens,
        "canarycanary",
        "tok_canary",
        caller.key,
        caller.key.split("_", 2)[2],
        wrong_key.split("_", 2)[2],
        hasty.processes.dev_key().split("_", 2)[2],
        action.redirect_url,
        action.redirect_url.rsplit("/", 1)[1],
    ]
    if action.client_secret:
        secrets.append(action.client_secret)
    await caller.becomes(payments[3].id, "SUCCEEDED")
    # Lines are written in small batches: the last call's line comes last.
    await caller.get(created.id)

    async def written() -> bool:
        return f'"tenant_id":"{caller.tenant}"' in hasty.log() and '"debug"' in hasty.log()

    await rig.until(written)
    envelopes = [
        event.SerializeToString().decode("utf-8", "replace")
        for payment in (*payments, created)
        for event in hasty.records.events(payment.id)
    ]
    texts = {
        "the service's log": hasty.log(),
        "the provider's log": bank.log_file(stack.MOCK).read_text(),
        "events": "\n".join(envelopes),
    }
    for place, text in texts.items():
        assert text
        for secret in secrets:
            assert secret not in text, f"{secret} is in {place}"
    assert hasty.records.payment_events(payments[2].id)[-1].payment.HasField("action")
