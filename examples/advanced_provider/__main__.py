"""Entry point: `python -m examples.advanced_provider`.

Owns the environment variables that start with ACME_. Never decides anything else.
"""

import os
import sys

import pydantic
import pydantic_settings

from examples.advanced_provider import notices, provider
from provider_sdk import registration_settings, serve
from servicekit import settings, tls


class Settings(settings.ServiceSettings):
    """What the process can be told.

    Args:
        upstream_url: Where the upstream system is, without a slash at the end.
        max_concurrent_calls: Most operations in progress; upstream allows no more.
        version: What the handshake says the version is, to rehearse an upgrade.
        events_endpoint: `host:port` of the event gateway; empty: nobody is told of trouble.
        events_tenant: Tenant of the plugin's key.
    """

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="ACME_")

    grpc_port: settings.Port = 50_064
    http_port: settings.Port = 8_092
    upstream_url: str = pydantic.Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    max_concurrent_calls: int = pydantic.Field(default=64, ge=1, le=10_000)
    version: str = pydantic.Field(default="2.0.0", pattern=r"^\d+\.\d+\.\d+$")
    events_endpoint: str = pydantic.Field(default="", pattern=r"^([^\s/:]+:\d{1,5})?$")
    events_tenant: str = "system"


def main() -> int:
    """Serves until SIGTERM and returns the exit status."""
    config = settings.load(Settings)
    core = registration_settings.load(os.environ, host=config.host)
    told = None
    if config.events_endpoint:
        told = notices.Notices(
            config.events_endpoint,
            tenant_id=config.events_tenant,
            settings=core,
            dialer=tls.dialer(config.tls_files),
        )
    acme = provider.Acme(
        config.upstream_url,
        max_concurrent_calls=config.max_concurrent_calls,
        version=config.version,
        on_trouble=told.tell if told is not None else None,
    )
    background = [told.run] if told is not None else []
    return serve.serve(acme, config, service_name="acme", background=background, registering=core)


if __name__ == "__main__":
    sys.exit(main())
