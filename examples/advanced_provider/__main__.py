"""Entry point: `python -m examples.advanced_provider`.

Owns the environment variables that start with ACME_. Never decides anything else.
"""

import sys

import pydantic
import pydantic_settings

from examples.advanced_provider import provider
from provider_sdk import serve
from servicekit import settings


class Settings(settings.ServiceSettings):
    """What the process can be told.

    Args:
        upstream_url: Where the upstream system is, without a slash at the end.
        max_concurrent_calls: Most operations in progress; upstream allows no more.
        version: What the handshake says the version is, to rehearse an upgrade.
    """

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="ACME_")

    grpc_port: settings.Port = 50_072
    http_port: settings.Port = 8_092
    upstream_url: str = pydantic.Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    max_concurrent_calls: int = pydantic.Field(default=64, ge=1, le=10_000)
    version: str = pydantic.Field(default="2.0.0", pattern=r"^\d+\.\d+\.\d+$")


def main() -> int:
    """Serves until SIGTERM and returns the exit status."""
    config = settings.load(Settings)
    acme = provider.Acme(
        config.upstream_url,
        max_concurrent_calls=config.max_concurrent_calls,
        version=config.version,
    )
    return serve.serve(acme, config, service_name="acme")


if __name__ == "__main__":
    sys.exit(main())
