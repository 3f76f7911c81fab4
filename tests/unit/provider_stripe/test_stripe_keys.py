"""What is no key of Stripe's is refused before it is sent with anything."""

import pytest

from provider_sdk import calls
from provider_stripe import config, provider, settings


@pytest.mark.parametrize(
    ("key", "taken"),
    [
        (b"sk_test_4eC39HqLyjWDarjtT1", True),
        (b"rk_live_4eC39HqLyjWDarjtT1", True),
        (b"pk_test_4eC39HqLyjWDarjtT1", False),
        # As `echo` writes it to a file: a header can't hold it, and no request gets out.
        (b"sk_test_4eC39HqLyjWDarjtT1\n", False),
        (b"sk_test_4eC39 HqLyjWDarjtT1", False),
        (b"sk_test_4eC39\xff", False),
    ],
)
async def test_a_key_is_of_the_form_of_keys(key: bytes, taken: bool) -> None:
    """A prefix of Stripe's and nothing that a header can't hold."""
    stripe = provider.StripeProvider(settings.StripeSettings())
    secrets = {
        config.API_KEY: [calls.Secret(key, version=1)],
        config.WEBHOOK_SECRET: [calls.Secret(b"whsec_1", version=1)],
    }
    found = await stripe.validate(config.StripeConfig(), secrets)
    assert (not any(one.is_error for one in found)) is taken
