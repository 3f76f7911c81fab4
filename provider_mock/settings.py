"""Settings of the simulated provider.

Owns the environment variables that start with PROVIDER_MOCK_. Read by
`__main__` once. Never changes afterwards: run-time switches are in the
configuration of a binding.
"""

import pathlib
import urllib.parse

import pydantic
import pydantic_settings

from provider_mock import scenarios
from servicekit import settings


class MockSettings(settings.ServiceSettings):
    """What `python -m provider_mock` can be told.

    Args:
        ledger: SQLite file of the ledger.
        force: Scenario clauses that override every instrument, for example
            `capture.not_sent`.
        latency_ms: Added to every operation before it is recorded, milliseconds.
        jitter_ms: Added besides, evenly from 0 to this, milliseconds.
        seed: Of the jitter.
        settle_after_s: How long pending operations take, seconds of provider time.
        action_auto_s: After how long a payer is taken to have agreed; never if not set.
        action_expire_s: After how long an action not completed is declined, seconds.
        clock_offset_s: How far provider time is ahead, seconds.
        public_url: Where payers reach the HTTP port, without a slash at the end.
        max_concurrent_calls: Most operations in progress.
        upstream_url: System that decides instead of the ledger; see `upstream`.
        version: What the handshake says the version is, to rehearse upgrades.
    """

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="PROVIDER_MOCK_")

    grpc_port: settings.Port = 50_061
    http_port: settings.Port = 8_082
    ledger: pathlib.Path = pathlib.Path("var/mock_ledger.db")
    force: str = ""
    latency_ms: float = pydantic.Field(default=0.0, ge=0, le=60_000)
    jitter_ms: float = pydantic.Field(default=0.0, ge=0, le=60_000)
    seed: int = 1
    settle_after_s: float = pydantic.Field(default=0.5, ge=0, le=31_536_000)
    action_auto_s: float | None = pydantic.Field(default=None, ge=0, le=31_536_000)
    action_expire_s: float = pydantic.Field(default=900.0, gt=0, le=31_536_000)
    clock_offset_s: float = pydantic.Field(default=0.0, ge=0)
    public_url: str = ""
    max_concurrent_calls: int = pydantic.Field(default=1_000, ge=1, le=100_000)
    upstream_url: str = pydantic.Field(default="", max_length=2_048)
    version: str = pydantic.Field(default="", pattern=r"^(\d+\.\d+\.\d+[0-9A-Za-z.+-]{0,40})?$")

    @pydantic.field_validator("upstream_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if value:
            parts = urllib.parse.urlsplit(value)
            # Reading the port raises ValueError if it is none.
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
            if not usable or parts.query or parts.fragment or parts.username is not None:
                raise ValueError("not a URL like http://127.0.0.1:8090; correct or remove it")
        return value

    @pydantic.field_validator("force")
    @classmethod
    def _force_is_a_scenario(cls, value: str) -> str:
        scenarios.force(value)
        return value
