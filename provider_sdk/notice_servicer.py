"""Serves NoticeProviderService on top of a Provider.

Owns which secrets a webhook may be signed with, that nothing of a webhook that
is not authentic gets through, and the time limits. Called by gRPC. Never
changes anything upstream, and so serves while the plugin drains too.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable
from typing import Any, TypeVar

from google.protobuf import duration_pb2
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import notice_provider_service_pb2_grpc, provider_object_pb2

from provider_sdk import answers, calls, errors, host, operations, times
from servicekit import logs, sanitizer

# Where core names no tolerance; Stripe's libraries and Standard Webhooks use the same.
TOLERANCE_S = 300
DETAIL_CHARS_MAX = 255

Context = operations.Context
AnswerT = TypeVar("AnswerT")


class NoticeProviderServicer(notice_provider_service_pb2_grpc.NoticeProviderServiceServicer):
    """Adapts what a Provider is told and has to the contract.

    Args:
        state: The process.
    """

    def __init__(self, state: host.Host) -> None:
        self._host = state
        self._provider = state.provider

    async def ParseWebhook(  # noqa: D102
        self, request: nps.ParseWebhookRequest, context: Context
    ) -> nps.ParseWebhookResponse:
        self._host.require(capability_pb2.CAPABILITY_WEBHOOKS)
        parsed = await _in_time(self._provider.parse_webhook(request.request), context)
        answers.require_valid(parsed, what="a parsed webhook")
        return parsed

    async def VerifyWebhook(  # noqa: D102
        self, request: nps.VerifyWebhookRequest, context: Context
    ) -> nps.VerifyWebhookResponse:
        operations.bind_log(self._host, request.binding_id)
        self._host.require(capability_pb2.CAPABILITY_WEBHOOKS)
        received_us = times.micros(request.request.receive_time, field="request.receive_time")
        if not request.HasField("tolerance"):
            request.tolerance.CopyFrom(duration_pb2.Duration(seconds=TOLERANCE_S))
        if times.micros(request.tolerance, field="tolerance") < 0:
            text = "must not be negative"
            raise errors.InvalidRequest(f"tolerance {text}", [("tolerance", text)])
        binding = _unexpired(self._host.binding(request.binding_id), received_us)
        verdict = await _in_time(self._provider.verify_webhook(request, binding), context)
        return _trusted(verdict)

    async def FetchObject(  # noqa: D102
        self, request: nps.FetchObjectRequest, context: Context
    ) -> nps.FetchObjectResponse:
        operations.bind_log(self._host, request.binding_id)
        self._host.require(capability_pb2.CAPABILITY_OBJECT_FETCH)
        binding = self._host.binding(request.binding_id)
        fetch = self._provider.fetch_object(
            request.reference, binding, timeout_s=operations.answer_time_s(context)
        )
        found = await _in_time(fetch, context)
        kind = provider_object_pb2.ObjectKind.Name(request.reference.kind)
        named = f"OBJECT_KIND_{(found.object.WhichOneof('object') or '').upper()}"
        if named != kind or (
            found.object.provider_object_id != request.reference.provider_object_id
        ):
            raise errors.PluginBug("the provider answered with another object")
        answers.require_valid(found, what="an object")
        return found


async def _in_time(answer: Awaitable[AnswerT], context: Context) -> AnswerT:
    try:
        async with asyncio.timeout(operations.answer_time_s(context)):
            return await answer
    except TimeoutError as error:
        raise errors.NoAnswer("no answer in time") from error


def _unexpired(binding: calls.Binding[Any], received_us: int) -> calls.Binding[Any]:
    """Returns *binding* with the secrets that were in force when a webhook was received."""
    secrets = {
        slot: [one for one in versions if one.expire_us is None or one.expire_us > received_us]
        for slot, versions in binding.secrets.items()
    }
    return dataclasses.replace(binding, secrets=secrets)


def _trusted(verdict: nps.VerifyWebhookResponse) -> nps.VerifyWebhookResponse:
    """Returns what core may learn of a webhook: nothing but the verdict unless authentic."""
    if verdict.authenticity == nps.AUTHENTICITY_AUTHENTIC:
        if not verdict.provider_event_id:
            raise errors.PluginBug("the provider answered without the identifier of the event")
        answers.require_valid(verdict, what="a webhook")
        return verdict
    refused = nps.AUTHENTICITY_FAILED
    if verdict.authenticity == nps.AUTHENTICITY_MALFORMED:
        refused = nps.AUTHENTICITY_MALFORMED
    # Before it is cut: of a part of a secret nobody could tell that it is one.
    detail = sanitizer.without(errors.whole(verdict.detail), logs.hidden())[:DETAIL_CHARS_MAX]
    return nps.VerifyWebhookResponse(authenticity=refused, detail=detail)
