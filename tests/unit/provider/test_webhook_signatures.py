"""Signatures of the simulated provider's webhooks."""

import base64
import hashlib
import hmac

import hypothesis
from hypothesis import strategies
from payhub.provider.v1 import notice_provider_service_pb2 as nps

from provider_mock.webhooks import reading, signing

BODIES = strategies.binary(max_size=200)
SECRETS = strategies.binary(min_size=1, max_size=64).filter(
    lambda one: not one.startswith(b"whsec")
)


def _fits(headers: dict[str, str], body: bytes, *secrets: bytes) -> bool:
    return signing.fits(
        event_id=headers["webhook-id"],
        time_text=headers["webhook-timestamp"],
        given=headers["webhook-signature"],
        body=body,
        secrets=secrets,
    )


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """HMAC-SHA256 over id, time and body with the decoded secret, in base64 after `v1,`."""
    secret = b"whsec_" + base64.b64encode(b"0123456789abcdef")
    headers = signing.headers("evt_1", 1_700_000_000, b'{"a": 1}', [secret])
    digest = hmac.digest(b"0123456789abcdef", b'evt_1.1700000000.{"a": 1}', hashlib.sha256)
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


@hypothesis.given(body=BODIES, other=BODIES, secret=SECRETS, foreign=SECRETS)
def test_only_what_was_signed_by_a_known_secret_fits(
    body: bytes, other: bytes, secret: bytes, foreign: bytes
) -> None:
    """Any of several signatures by any of several secrets; nothing else of body or secret."""
    headers = signing.headers("evt_1", 1, body, [foreign, secret])
    assert _fits(headers, body, secret)
    assert _fits(headers, body, b"whsec_of_nobody", foreign)
    hypothesis.assume(body != other and secret != foreign)
    assert not _fits(headers, other, secret)
    assert not _fits(signing.headers("evt_1", 1, body, [foreign]), body, secret)


@hypothesis.given(given=strategies.text(max_size=300), body=BODIES)
def test_no_header_is_worse_than_a_wrong_one(given: str, body: bytes) -> None:
    """Whatever stands in the header is compared, never trusted and never an error."""
    assert not signing.fits(
        event_id="evt_1", time_text="1", given=given, body=body, secrets=[b"secret"]
    )


def test_a_body_of_anybody_is_no_bug_of_the_plugin() -> None:
    """What JSON can spell and a text can't hold is read as nothing."""
    body = b'{"id": "\\ud800", "type": "x", "account": "a", "created_us": 1, "data": {}}'
    assert reading.parse(nps.WebhookRequest(body=body)) == nps.ParseWebhookResponse()
