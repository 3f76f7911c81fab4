"""Settings of the simulated provider.

Owns the environment variables that start with PROVIDER_MOCK_. Read by
`__main__` once. Never changes afterwards: run-time switches are in the
configuration of a binding.
"""

import pathlib
import urllib.parse
from typing import Literal

import pydantic
import pydantic_settings

from provider_mock import scenarios
from provider_mock.billing import rules
from servicekit import settings

_SECONDS = r"^\d{1,8}(\.\d{1,3})?(,\d{1,8}(\.\d{1,3})?){0,15}$"


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
        clock_offset_s: How far provider time is ahead at least, seconds; it never goes back.
        public_url: Where payers reach the HTTP port, without a slash at the end.
        max_concurrent_calls: Most operations in progress.
        upstream_url: System that decides instead of the ledger; see `upstream`.
        upstream_request_max_s: How long an answer of it is waited for, seconds.
        renew_retry_s: Pauses between a refused renewal and each further try, seconds, with
            commas; after the last one the subscription is canceled.
        invoice_due_s: How long a payer has before an open invoice is overdue, seconds.
        first_payment_s: How long a subscription waits for its first payment, seconds.
        checkout_expire_s: How long a checkout is open, seconds.
        evidence_s: How long evidence against a dispute is taken, seconds.
        webhook_url: Where webhooks go; `{binding_id}` is replaced. Empty: none are made.
        webhook_delay_ms: How long each is kept back, milliseconds of real time.
        webhook_jitter_ms: Kept back besides, from 0 to this, so that they overtake each other.
        webhook_duplicate_share: Of the events, sent twice, 0 to 1.
        webhook_wrong_signature_share: Of the events, sent with a wrong signature first.
        webhook_sign_with: Which versions of the secret sign: `newest`, `oldest` or `all`.
        webhook_retry_s: Pauses after deliveries that were not taken, seconds, with commas.
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
    upstream_request_max_s: float = pydantic.Field(default=30.0, gt=0, le=600)
    renew_retry_s: str = pydantic.Field(default="259200,432000,604800", pattern=_SECONDS)
    invoice_due_s: float = pydantic.Field(default=86_400.0, gt=0, le=31_536_000)
    first_payment_s: float = pydantic.Field(default=82_800.0, gt=0, le=31_536_000)
    checkout_expire_s: float = pydantic.Field(default=86_400.0, gt=0, le=31_536_000)
    evidence_s: float = pydantic.Field(default=604_800.0, gt=0, le=31_536_000)
    webhook_url: str = pydantic.Field(default="", max_length=2_048)
    webhook_delay_ms: float = pydantic.Field(default=0.0, ge=0, le=3_600_000)
    webhook_jitter_ms: float = pydantic.Field(default=0.0, ge=0, le=3_600_000)
    webhook_duplicate_share: float = pydantic.Field(default=0.0, ge=0, le=1)
    webhook_wrong_signature_share: float = pydantic.Field(default=0.0, ge=0, le=1)
    webhook_sign_with: Literal["newest", "oldest", "all"] = "newest"
    webhook_retry_s: str = pydantic.Field(
        default="1,5,30,120,600,3600,10800,21600,43200,86400,86400,86400", pattern=_SECONDS
    )
    version: str = pydantic.Field(default="", pattern=r"^(\d+\.\d+\.\d+[0-9A-Za-z.+-]{0,40})?$")

    @pydantic.field_validator("upstream_url", "webhook_url")
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

    def billing_rules(self) -> rules.Rules:
        """Returns how the provider bills."""
        return rules.Rules(
            retry_after_us=tuple(round(each * 1e6) for each in seconds(self.renew_retry_s)),
            due_after_us=round(self.invoice_due_s * 1e6),
            first_payment_us=round(self.first_payment_s * 1e6),
            settle_after_us=round(self.settle_after_s * 1e6),
            action_expire_us=round(self.action_expire_s * 1e6),
            checkout_expire_us=round(self.checkout_expire_s * 1e6),
            evidence_us=round(self.evidence_s * 1e6),
        )


def seconds(text: str) -> tuple[float, ...]:
    """Returns the numbers in a list with commas."""
    return tuple(float(each) for each in text.split(","))
