"""Webhooks of this provider as its plugin reads them.

Owns ParseWebhook and VerifyWebhook: what a body says, and whether to believe
it. Called by the provider. Asks nobody and remembers nothing, so the same
webhook gives the same answer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from payhub.provider.v1 import notice_provider_service_pb2 as nps

from provider_mock.webhooks import signing

TEXT_CHARS_MAX = 255
# Of epoch seconds, with room for a few thousand years.
_DIGITS_MAX = 11


class Malformed(Exception):
    """It is no webhook of this provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    event_id: str
    type: str
    account: str
    created_us: int
    data: dict[str, Any]


def parse(request: nps.WebhookRequest) -> nps.ParseWebhookResponse:
    """Returns what a webhook says of itself; empty if it can't be read."""
    try:
        event = _event(request.body)
    except Malformed:
        return nps.ParseWebhookResponse()
    return nps.ParseWebhookResponse(
        provider_account_id=event.account,
        provider_event_id=event.event_id,
        event_type=event.type,
    )


def verify(
    request: nps.VerifyWebhookRequest, secrets: Sequence[bytes]
) -> nps.VerifyWebhookResponse:
    """Returns what a webhook says if one of *secrets* signed it, in time, for this binding."""
    headers: dict[str, str] = {}
    for header in request.request.headers:
        headers.setdefault(header.name, header.value)
    event_id = headers.get(signing.ID_HEADER, "")
    time_text = headers.get(signing.TIME_HEADER, "")
    given = headers.get(signing.SIGNATURE_HEADER, "")
    if not (event_id and time_text and given):
        return _refused(nps.AUTHENTICITY_MALFORMED, "the headers of a signature are missing")
    if len(time_text) > _DIGITS_MAX or not time_text.isascii() or not time_text.isdecimal():
        return _refused(nps.AUTHENTICITY_MALFORMED, "the time of the signature is no number")
    body = request.request.body
    if not signing.fits(
        event_id=event_id, time_text=time_text, given=given, body=body, secrets=secrets
    ):
        return _refused(nps.AUTHENTICITY_FAILED, "no secret in force made this signature")
    age_us = request.request.receive_time.ToMicroseconds() - int(time_text) * 1_000_000
    if abs(age_us) > request.tolerance.ToMicroseconds():
        when = f"{abs(age_us) // 1_000_000} s {'before' if age_us > 0 else 'after'}"
        return _refused(
            nps.AUTHENTICITY_FAILED, f"signed {when} core's clock says that it came: too far off"
        )
    try:
        event = _event(body)
        told = json_format.ParseDict(
            event.data, nps.VerifyWebhookResponse(), ignore_unknown_fields=True
        )
    except (Malformed, json_format.ParseError):
        return _refused(nps.AUTHENTICITY_MALFORMED, "the body is no event of this provider")
    if event.event_id != event_id:
        return _refused(nps.AUTHENTICITY_MALFORMED, "the body is of another event")
    if event.account != request.binding_id:
        return _refused(nps.AUTHENTICITY_FAILED, "the event is of another account")
    answer = nps.VerifyWebhookResponse(
        authenticity=nps.AUTHENTICITY_AUTHENTIC,
        provider_event_id=event.event_id,
        event_type=event.type,
        operations=told.operations,
        objects=told.objects,
        refetch=told.refetch,
        notices=told.notices,
        irrelevant=not (told.operations or told.objects or told.refetch or told.notices),
    )
    answer.event_time.FromMicroseconds(event.created_us)
    return answer


def _event(body: bytes) -> _Event:
    try:
        read = json.loads(body)
        event = _Event(
            event_id=read["id"],
            type=read["type"],
            account=read["account"],
            created_us=read["created_us"],
            data=read["data"],
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed from error
    texts = (event.event_id, event.type, event.account)
    if not all(_is_text(text) for text in texts):
        raise Malformed
    if not event.event_id or not isinstance(event.data, dict):
        raise Malformed
    if type(event.created_us) is not int or not 0 <= event.created_us < 10**17:
        raise Malformed
    return event


def _is_text(value: Any) -> bool:
    """Whether *value* is a text the contract can hold; JSON can spell halves of characters."""
    if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _refused(verdict: nps.Authenticity, detail: str) -> nps.VerifyWebhookResponse:
    return nps.VerifyWebhookResponse(authenticity=verdict, detail=detail)
