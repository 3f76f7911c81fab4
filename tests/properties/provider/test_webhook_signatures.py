"""Signatures of the simulated provider's webhooks, for any body, secret and header."""

import hypothesis
from hypothesis import strategies

from provider_mock.webhooks import signing

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
