"""Signatures of the simulated provider's webhooks."""

import base64
import hashlib
import hmac

from payhub.provider.v1 import notice_provider_service_pb2 as nps

from provider_mock.webhooks import reading, signing


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """HMAC-SHA256 over id, time and body with the decoded secret, in base64 after `v1,`."""
    secret = b"whsec_" + base64.b64encode(b"0123456789abcdef")
    headers = signing.headers("evt_1", 1_700_000_000, b'{"a": 1}', [secret])
    digest = hmac.digest(b"0123456789abcdef", b'evt_1.1700000000.{"a": 1}', hashlib.sha256)
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


def test_a_body_of_anybody_is_no_bug_of_the_plugin() -> None:
    """What JSON can spell and a text can't hold is read as nothing."""
    body = b'{"id": "\\ud800", "type": "x", "account": "a", "created_us": 1, "data": {}}'
    assert reading.parse(nps.WebhookRequest(body=body)) == nps.ParseWebhookResponse()


def test_a_time_of_thousands_of_digits_is_no_bug_of_the_plugin() -> None:
    """Python refuses to read such a number at all."""
    sent = nps.VerifyWebhookRequest(request=nps.WebhookRequest(body=b"{}"))
    headers = signing.headers("evt_1", 1, b"{}", [b"secret"])
    headers[signing.TIME_HEADER] = "9" * 8_000
    for name, value in headers.items():
        sent.request.headers.add(name=name, value=value)
    assert reading.verify(sent, [b"secret"]).authenticity == nps.AUTHENTICITY_MALFORMED
