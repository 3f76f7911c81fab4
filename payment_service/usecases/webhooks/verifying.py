"""Asking a plugin whether a webhook is the provider's, and what it tells.

Owns that call and everything that can come of it. Called by `receiving` and `replaying`,
never inside a transaction. Never believes more than the plugin says.
"""

from dataclasses import dataclass

import grpc.aio
from google.protobuf.message import DecodeError
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import notice_provider_service_pb2 as nps

from payment_service.domain import webhooks
from payment_service.provider_client import asking, client, reading
from payment_service.usecases import context
from payment_service.usecases.bindings import gates
from servicekit import errors, logs, validation

_log = logs.get_logger(__name__)

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What came of asking: *told*, or why nobody knows in *problem*."""

    told: nps.VerifyWebhookResponse | None = None
    problem: str = ""

    @property
    def authentic(self) -> bool:
        """Whether it is the provider's."""
        return self.told is not None and self.told.authenticity == nps.AUTHENTICITY_AUTHENTIC

    @property
    def malformed(self) -> bool:
        """Whether it is no webhook of that provider at all."""
        return self.told is not None and self.told.authenticity == nps.AUTHENTICITY_MALFORMED


async def verify(
    ctx: context.Context, webhook: webhooks.Webhook, *, tolerance_s: float
) -> Verified:
    """Asks the plugin; never raises for what the plugin does."""
    provider = ctx.providers.find(webhook.provider)
    if provider is None:
        return Verified(problem=f"provider {webhook.provider} is not set up")
    if provider.ready and (missing := provider.lacks(capability_pb2.CAPABILITY_WEBHOOKS)):
        return Verified(problem=f"the provider has no {missing}")
    request = nps.VerifyWebhookRequest(
        binding_id=webhook.binding_id,
        request=nps.WebhookRequest(
            headers=[nps.HttpHeader(name=name, value=value) for name, value in webhook.headers],
            body=webhook.body,
        ),
    )
    request.request.receive_time.FromMicroseconds(webhook.received_us)
    request.tolerance.FromMicroseconds(round(tolerance_s * 1_000_000))
    try:
        told = await provider.notice(
            "VerifyWebhook",
            request,
            binding_id=webhook.binding_id,
            tenant_id=webhook.tenant_id,
            timeout_s=TIMEOUT_S,
        )
        validation.validate(told)
        # Both databases are to keep it: a plugin may quote what anybody sent.
        if "\0" in f"{told.provider_event_id}{told.event_type}":
            raise errors.invalid_field("event", "holds NUL")
        if told.detail:
            told.detail = await _scrubbed(ctx, webhook, told.detail.replace("\0", ""))
    except (asking.Unreachable, client.NotConfigured) as error:
        return Verified(problem=str(error))
    except grpc.aio.AioRpcError as error:
        failure = reading.failure_of(error)
        why = reading.reason_of(failure) if failure is not None else "no failure detail"
        return Verified(problem=f"{error.code().name}: {why}")
    except errors.RpcError as error:
        _log.error("contract broken", provider=webhook.provider, problem=error.message[:256])
        return Verified(problem="the plugin's answer breaks the contract")
    except Exception:
        _log.exception("a webhook could not be verified", webhook_id=webhook.id)
        return Verified(problem="a fault in core")
    return Verified(told=told)


async def _scrubbed(ctx: context.Context, webhook: webhooks.Webhook, detail: str) -> str:
    """Returns a plugin's words without the secrets of the binding; '' if nobody knows those."""
    try:
        _, config = await ctx.providers.configuration(
            webhook.binding_id, webhook.tenant_id, webhook.provider, ""
        )
    except LookupError:
        return ""
    hidden = gates.unsaid(gates.shown(config))
    return gates.scrubbed(gates.Found(summary=detail), hidden).summary


def kept(webhook: webhooks.Webhook) -> nps.VerifyWebhookResponse:
    """Returns what the plugin made of a webhook when its signature was checked.

    Raises:
        LookupError: It was not, or what was kept can't be read any more.
    """
    if not webhook.told:
        raise LookupError(f"{webhook.id} was not verified")
    try:
        return nps.VerifyWebhookResponse.FromString(webhook.told)
    except DecodeError:
        raise LookupError(f"what was kept of {webhook.id} can't be read") from None
