"""Checks of webhooks: whom they are for, who signed them, what they say.

Owns rules 25b and 61 to 63. Collected by `catalog`. The suite signs webhooks
itself, as the profile says; none is sent over HTTP: that is core's part.
"""

import time

from payhub.plugin.v1 import capability_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.provider.v1 import notice_provider_service_pb2 as nps

from provider_sdk.conformance import checks, webhooks
from provider_sdk.conformance import run as runs

WEBHOOKS = capability_pb2.CAPABILITY_WEBHOOKS
AUTHENTIC = nps.AUTHENTICITY_AUTHENTIC
FAILED = nps.AUTHENTICITY_FAILED
MALFORMED = nps.AUTHENTICITY_MALFORMED


@checks.check(
    number=25,
    part="b",
    title="A webhook signed with the old secret verifies until that expires, and not after.",
    needs=(WEBHOOKS,),
)
async def old_secret_verifies(run: runs.Run) -> None:
    """Configures two versions and verifies what each signed, before and after the old expires."""
    slot = webhooks.slot(run)
    binding = await run.new_binding(configure=False)
    old, new = binding.secrets[slot], run.new_secret(slot)
    run.canaries.watch(slot, new)
    expire_s = int(time.time()) + 3_600
    for generation, until_s in ((1, expire_s), (2, int(time.time()) - 1)):
        sent = webhooks.versions(binding, old=old, new=new, old_expire_s=until_s)
        await _configure(run, binding.binding_id, generation, sent)
        event = webhooks.Webhook(run, binding)
        await event.expect(
            event.request(new),
            AUTHENTIC,
            what="a webhook signed with the new secret of a rotation",
            fix="try every version of the secret",
        )
        expired = generation == 2
        when = "after it expired" if expired else "before it expires"
        await event.expect(
            event.request(old),
            FAILED if expired else AUTHENTIC,
            what=f"a webhook signed with the old secret of a rotation, {when}",
            fix="try every version whose expire_time had not passed at receive_time",
        )


async def _configure(
    run: runs.Run, binding_id: str, generation: int, config: ps.BindingConfig
) -> None:
    request = ps.ConfigureRequest(binding_id=binding_id, generation=generation, config=config)
    await run.call(run.plugin.Configure, request, timeout_s=15.0)


@checks.check(
    number=61,
    title="A right webhook signature verifies, a tampered, old or foreign one does not.",
    needs=(WEBHOOKS,),
)
async def signatures(run: runs.Run) -> None:
    """Verifies a right one, and that one altered in each way that matters."""
    binding, other = await run.new_binding(), await run.new_binding()
    event = webhooks.Webhook(run, binding)
    right = await event.expect(
        event.request(),
        AUTHENTIC,
        what="a webhook with a right signature",
        fix="verify by the scheme that the profile names, or correct the profile",
    )
    if right.provider_event_id != event.event_id:
        raise checks.Failed(
            f"the event {event.event_id} verifies as {right.provider_event_id[:64]!r}",
            fix="answer the provider's identifier of the event; core applies each once",
        )
    now_s, tolerance_s = event.now_s, webhooks.TOLERANCE_S
    fix = "refuse it with AUTHENTICITY_FAILED"
    for what, request in (
        ("a webhook whose body was tampered with", event.request(body=event.body + b" ")),
        ("a webhook signed with another secret", event.request(b"another secret altogether")),
        (
            "a webhook signed longer ago than the tolerance",
            event.request(signed_s=now_s - tolerance_s - 2),
        ),
        (
            "a webhook of long ago, judged by when core received it",
            event.request(received_s=now_s + tolerance_s + 2),
        ),
    ):
        await event.expect(request, FAILED, what=what, fix=fix)
    await event.expect(
        event.request(signed_s=now_s - tolerance_s + 20),
        AUTHENTIC,
        what="a webhook a little younger than the tolerance",
        fix="count the tolerance back from receive_time",
    )
    unsigned = event.request()
    del unsigned.headers[:]
    await event.expect(unsigned, FAILED, MALFORMED, what="a webhook without signature", fix=fix)
    secret = run.new_secret(webhooks.slot(run))
    other.secrets = {**other.secrets, webhooks.slot(run): secret}
    await other.configure()
    await event.expect(
        event.request(),
        FAILED,
        what="a webhook that another binding's secret signed",
        fix="use the secrets of the binding of the request alone",
        binding=other,
    )


@checks.check(
    number=62,
    title="ParseWebhook needs no binding, survives any bytes and gives a stable event id.",
    needs=(WEBHOOKS,),
)
async def parsing(run: runs.Run) -> None:
    """Parses one event twice with no binding configured, and what is none at all."""
    binding = await run.new_binding(configure=False)
    event = webhooks.Webhook(run, binding)
    asked = nps.ParseWebhookRequest(request=event.request())
    for _ in range(2):
        parsed = await run.call(run.notices.ParseWebhook, asked, timeout_s=2.0)
        if parsed.provider_event_id != event.event_id:
            raise checks.Failed(
                f"the event {event.event_id} is parsed as {parsed.provider_event_id[:64]!r}",
                fix="answer the provider's identifier of the event, always the same",
            )
    bound = await run.new_binding()
    for what, request in webhooks.garbage(run):
        request.receive_time.GetCurrentTime()
        await run.call(
            run.notices.ParseWebhook, nps.ParseWebhookRequest(request=request), timeout_s=2.0
        )
        await event.expect(
            request,
            FAILED,
            MALFORMED,
            what=f"a webhook that is none, {what},",
            fix="answer AUTHENTICITY_MALFORMED; it is no error of yours",
            binding=bound,
        )


@checks.check(
    number=63,
    title="The same webhook verified twice gives equal operations.",
    needs=(WEBHOOKS,),
)
async def verified_twice(run: runs.Run) -> None:
    """Verifies one event again and again, with others between, and compares every answer."""
    binding = await run.new_binding()
    event = webhooks.Webhook(run, binding)
    fix = "translate what the body says, without looking anything up"
    first = await event.expect(event.request(), AUTHENTIC, what="a webhook", fix=fix)
    other = webhooks.Webhook(run, binding)
    await other.expect(other.request(), AUTHENTIC, what="another webhook", fix=fix)
    for delay_s in (0, 60):
        again = await event.expect(
            event.request(received_s=event.now_s + delay_s),
            AUTHENTIC,
            what="the same webhook again",
            fix=fix,
        )
        if again != first:
            raise checks.Failed("the same webhook verified twice gives two answers", fix=fix)
