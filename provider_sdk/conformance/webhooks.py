"""Webhooks made up and signed by the suite.

Owns the signature schemes it knows, and the calls that have one read. Used by
the checks of webhooks. Signs by itself, never with a provider's own code.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import duration_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.provider.v1 import notice_provider_service_pb2 as nps

from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import checks, profile
from provider_sdk.conformance import run as runs

TOLERANCE_S = 300
# More than Python reads as a number, and no more than a header holds.
TIME_DIGITS = 8_000


class Webhook:
    """One event of the provider, ready to be signed.

    Args:
        run: Where it is sent.
        binding: The account it is about.
    """

    def __init__(self, run: runs.Run, binding: bindings.Binding) -> None:
        self.form = _form(run)
        self.run = run
        self.binding = binding
        self.event_id = f"evt_{run.token()}"
        self.now_s = int(time.time())
        names = {
            "event_id": self.event_id,
            "binding_id": binding.binding_id,
            "now_s": str(self.now_s),
            "now_us": str(self.now_s * 1_000_000),
        }
        text = self.form.body
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", value)
        self.body = text.encode()

    def request(
        self,
        secret: bytes | None = None,
        *,
        signed_s: int | None = None,
        body: bytes | None = None,
        received_s: int | None = None,
    ) -> nps.WebhookRequest:
        """Returns the inbound request.

        Args:
            secret: What signs it; the binding's own by default.
            signed_s: When it says it was signed, epoch seconds; now by default.
            body: What arrives in place of what was signed.
            received_s: When core received it; now by default.
        """
        key = self.binding.secrets[self.form.slot] if secret is None else secret
        at_s = self.now_s if signed_s is None else signed_s
        made = nps.WebhookRequest(body=self.body if body is None else body)
        for name, value in _signed(self.form, key, self.event_id, at_s, self.body).items():
            made.headers.add(name=name, value=value)
        made.headers.add(name="content-type", value="application/json")
        made.receive_time.FromSeconds(self.now_s if received_s is None else received_s)
        return made

    async def verify(
        self, request: nps.WebhookRequest, *, binding: bindings.Binding | None = None
    ) -> nps.VerifyWebhookResponse:
        """Has *request* verified for a binding, its own by default. Raises Refused."""
        asked = nps.VerifyWebhookRequest(
            binding_id=(binding or self.binding).binding_id,
            request=request,
            tolerance=duration_pb2.Duration(seconds=TOLERANCE_S),
        )
        answer: nps.VerifyWebhookResponse = await self.run.call(
            self.run.notices.VerifyWebhook, asked, timeout_s=5.0
        )
        return answer

    async def expect(
        self,
        request: nps.WebhookRequest,
        *verdicts: nps.Authenticity,
        what: str,
        fix: str,
        binding: bindings.Binding | None = None,
    ) -> nps.VerifyWebhookResponse:
        """Expects one of *verdicts* about *request*, and nothing else of what is not authentic.

        Raises:
            Failed: It is another one.
        """
        answer = await self.verify(request, binding=binding)
        name = nps.Authenticity.Name
        if answer.authenticity not in verdicts:
            wanted = " or ".join(name(one) for one in verdicts)
            raise checks.Failed(
                f"{what}: expected {wanted}, got {name(answer.authenticity)}", fix=fix
            )
        self.run.canaries.inspect(answer.detail, place="the detail of a webhook")
        told = answer.operations or answer.objects or answer.refetch or answer.notices
        if answer.authenticity != nps.AUTHENTICITY_AUTHENTIC and told:
            raise checks.Failed(
                f"{what}: the answer tells what the webhook says, though it is not authentic",
                fix="answer nothing but the verdict",
            )
        return answer


def slot(run: runs.Run) -> str:
    """Returns the slot of the signing secret."""
    return _form(run).slot


def versions(
    binding: bindings.Binding, *, old: bytes, new: bytes, old_expire_s: int
) -> ps.BindingConfig:
    """Returns a configuration with two versions of the signing secret.

    Args:
        binding: Whose.
        old: Version 1.
        new: Version 2.
        old_expire_s: When the old one expires, epoch seconds.
    """
    sent = binding.sent()
    name = slot(binding.run)
    kept = [secret for secret in sent.secrets if secret.slot != name]
    del sent.secrets[:]
    sent.secrets.extend(kept)
    first = sent.secrets.add(slot=name, version=1, value=old)
    first.expire_time.FromSeconds(old_expire_s)
    sent.secrets.add(slot=name, version=2, value=new)
    return sent


def _form(run: runs.Run) -> profile.Webhooks:
    if run.profile.webhooks is None:
        raise checks.NotProven(
            "the profile has no `webhooks`; add how the provider's webhooks are signed, and one",
            cause=checks.Cause.PROFILE,
        )
    return run.profile.webhooks


def _signed(
    form: profile.Webhooks, secret: bytes, event_id: str, at_s: int | str, body: bytes
) -> Mapping[str, str]:
    if form.scheme == "stripe":
        digest = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
        return {form.header or "stripe-signature": f"t={at_s},v1={digest}"}
    signed = f"{event_id}.{at_s}.".encode() + body
    made = hmac.new(_standard_key(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }


def _standard_key(secret: bytes) -> bytes:
    prefix = b"whsec_"
    try:
        encoded = secret.startswith(prefix)
        return base64.b64decode(secret[len(prefix) :], validate=True) if encoded else secret
    except binascii.Error:
        return secret


def garbage(run: runs.Run) -> Sequence[tuple[str, Any]]:
    """Returns inbound requests that are no webhooks, by what is wrong with them."""
    many = nps.WebhookRequest(body=b"{}")
    for number in range(100):
        many.headers.add(name=f"webhook-{number}", value="x" * 100)
    # Whoever sends it needs no secret for that.
    late = nps.WebhookRequest(body=b"{}")
    for name, value in _signed(_form(run), b"nobody's", "evt_1", "9" * TIME_DIGITS, b"{}").items():
        late.headers.add(name=name, value=value)
    return [
        ("an empty one", nps.WebhookRequest()),
        ("one that is not JSON", nps.WebhookRequest(body=b"{")),
        ("one of random bytes", nps.WebhookRequest(body=run.random.randbytes(4096))),
        ("a JSON list", nps.WebhookRequest(body=b"[1, 2]")),
        ("a JSON null", nps.WebhookRequest(body=b"null")),
        ("a deep one", nps.WebhookRequest(body=b"[" * 100_000)),
        ("a large one", nps.WebhookRequest(body=b'{"id": "' + b"a" * 1_000_000 + b'"}')),
        ("one with wrong types", nps.WebhookRequest(body=b'{"id": 1, "type": {}, "data": 0}')),
        ("one with half a character", nps.WebhookRequest(body=b'{"id": "\\ud800"}')),
        ("one with many headers", many),
        ("one signed at a time of thousands of digits", late),
    ]
