"""Settings of the Stripe sidecar.

Owns the environment variables that start with PROVIDER_STRIPE_. Read by `__main__` once.
Never holds a credential: those come with each binding.
"""

import urllib.parse

import pydantic
import pydantic_settings

from servicekit import settings


class StripeSettings(settings.ServiceSettings):
    """What `python -m provider_stripe` can be told.

    Args:
        api_base: Where Stripe's API is; another address for a double of it.
        connect_timeout_s: Longest wait for a connection; nothing was sent when it is over.
        connections_max: Most connections to Stripe.
        max_concurrent_calls: Most operations in progress.
        version: What the handshake says the version is, to rehearse upgrades.
    """

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="PROVIDER_STRIPE_")

    grpc_port: settings.Port = 50_062
    http_port: settings.Port = 8_083
    api_base: str = pydantic.Field(default="https://api.stripe.com", max_length=2_048)
    connect_timeout_s: float = pydantic.Field(default=5.0, gt=0, le=60)
    connections_max: int = pydantic.Field(default=200, ge=1, le=10_000)
    max_concurrent_calls: int = pydantic.Field(default=200, ge=1, le=10_000)
    version: str = pydantic.Field(default="", pattern=r"^(\d+\.\d+\.\d+[0-9A-Za-z.+-]{0,40})?$")

    @pydantic.field_validator("api_base")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        parts = urllib.parse.urlsplit(value)
        plain = not (parts.query or parts.fragment or parts.username or parts.path.strip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise ValueError("not an address like https://api.stripe.com; correct or remove it")
        return value.rstrip("/")
