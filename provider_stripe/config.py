"""What an operator configures for one Stripe account.

Owns the model that the schema is made of, and the secret slots. Called by `provider`. Never
holds a secret: those have slots.
"""

import pydantic

from provider_sdk import provider

API_KEY = "api_key"
WEBHOOK_SECRET = "webhook_secret"

SECRET_SLOTS = (
    provider.SecretSlot(
        slot=API_KEY,
        description="Secret or restricted key (sk_... or rk_...), from Developers, API keys.",
    ),
    provider.SecretSlot(
        slot=WEBHOOK_SECRET,
        description="Signing secret (whsec_...) of the webhook endpoint, from Developers, "
        "Webhooks. Several versions are tried while one is rolled.",
        required=False,
    ),
)


class StripeConfig(pydantic.BaseModel):
    """One account; its text is what a form shows."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    account: str = pydantic.Field(
        default="",
        pattern=r"^(acct_[A-Za-z0-9]{1,64})?$",
        description="Connected account to act for (Stripe-Account); empty for the key's own.",
    )
    publishable_key: str = pydantic.Field(
        default="",
        pattern=r"^(pk_(test|live)_[A-Za-z0-9]{1,240})?$",
        description="Key for front ends. Not a secret.",
    )
    statement_descriptor_suffix: str = pydantic.Field(
        default="",
        max_length=22,
        pattern=r"^[^<>\\'\"*]*$",
        description="Added to the statement descriptor of card payments.",
    )
    calls_per_s: int = pydantic.Field(
        default=80,
        ge=1,
        le=10_000,
        description="Most calls a second to Stripe; its limits are 100 live and 25 in test mode.",
    )
