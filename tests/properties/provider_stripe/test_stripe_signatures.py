"""A webhook is believed exactly when the SDK's own code believes it."""

import hashlib
import hmac
import json
import time
from unittest import mock

import hypothesis
import stripe
from hypothesis import strategies as st

from provider_stripe import webhooks

SECRETS = [b"whsec_first", b"whsec_second", b"whsec_third"]
BODY = json.dumps({"id": "evt_1", "object": "event", "type": "price.created"}).encode()


def _signed(body: bytes, secret: bytes, at_s: int) -> str:
    made = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={made}"


headers = st.one_of(
    st.text(max_size=40),
    st.builds(
        lambda secret, age_s, noise: _signed(BODY, secret, 1_700_000_000 - age_s) + noise,
        st.sampled_from([*SECRETS, b"whsec_other"]),
        st.integers(-400, 700),
        st.sampled_from(["", ",v1=00", ",v0=zz", ",t=1", ","]),
    ),
)


@hypothesis.given(
    header=headers,
    secrets=st.lists(st.sampled_from(SECRETS), max_size=3, unique=True),
    body=st.sampled_from([BODY, BODY + b" ", b"", b"\xff"]),
)
def test_the_same_is_accepted_as_by_the_sdk(header: str, secrets: list[bytes], body: bytes) -> None:
    """For any header, body and set of secrets, both say the same."""
    now_s = 1_700_000_000.0

    def sdk_takes(secret: bytes) -> bool:
        try:
            stripe.Webhook.construct_event(body, header, secret.decode(), tolerance=300)
        except (stripe.SignatureVerificationError, ValueError):
            return False
        return True

    with mock.patch.object(time, "time", return_value=now_s):
        wanted = any(sdk_takes(secret) for secret in secrets)
    problem = webhooks.check(body, header, secrets, now_s, 300.0)
    assert (problem == "") == wanted
