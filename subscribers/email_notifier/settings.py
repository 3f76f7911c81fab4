"""Settings of the mail notifier.

Owns the environment variables that start with EMAIL_NOTIFIER_. Read by `__main__` once.
Never decides how a mail looks.
"""

import pathlib
from typing import Annotated, Literal, Self

import pydantic
import pydantic_settings

from servicekit import settings

Target = Annotated[str, pydantic.Field(pattern=r"^\S+:\d+$", max_length=300)]
Seconds = Annotated[float, pydantic.Field(gt=0, le=172_800)]
EventType = Literal[
    "payment.succeeded", "payment.failed", "subscription.created", "invoice.generated"
]
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = rf"^{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$"
# Of what is in front of the @, as servers take it.
_LOCAL_CHARS_MAX = 64


class Settings(settings.ServiceSettings):
    """What `python -m subscribers.email_notifier` can be told.

    Args:
        payments_target: host:port of payment_service, which knows the addresses.
        events_target: host:port of event_gateway.
        key: API key of the tenant, with `events:read` and `payments:read`.
        consumer: Name of the durable consumer; processes that share it share the work.
        start: Where a new consumer begins; `oldest` mails about everything that was kept.
        event_types: What is mailed about.
        concurrency: Most mails under way at once, each on a connection of its own.
        max_deliveries: Tries until an event is parked.
        retry_backoff_s: Waits before the second, third, … try, spread by up to a fifth; the last
            repeats.
        smtp_tls: `starttls` and `tls` fail where the server can't; none falls back.
        smtp_timeout_s: Longest wait for one answer of the SMTP server.
        send_timeout_s: Longest time for one mail, from connecting on.
        from_address: Sender; its domain is that of the Message-IDs.
        from_name: Name of the sender, also in the text.
        templates: Folder with templates that replace those of the same file name.
    """

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="EMAIL_NOTIFIER_")

    http_port: settings.Port = 8_086
    drain_grace_s: float = pydantic.Field(default=40.0, ge=0, le=600)

    payments_target: Target = "127.0.0.1:50051"
    events_target: Target = "127.0.0.1:50052"
    key: settings.ApiKey
    consumer: str = pydantic.Field(default="email-notifier", min_length=1, max_length=64)
    start: Literal["newest", "oldest"] = "newest"
    event_types: tuple[EventType, ...] = pydantic.Field(
        default=(
            "payment.succeeded",
            "payment.failed",
            "subscription.created",
            "invoice.generated",
        ),
        min_length=1,
    )
    concurrency: int = pydantic.Field(default=8, ge=1, le=100)
    max_deliveries: int = pydantic.Field(default=20, ge=1, le=1_000)
    retry_backoff_s: tuple[Seconds, ...] = pydantic.Field(
        default=(5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0), min_length=1, max_length=24
    )

    smtp_host: str = pydantic.Field(min_length=1, max_length=253)
    smtp_port: int = pydantic.Field(default=587, ge=1, le=65_535)
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str = pydantic.Field(default="", max_length=256)
    smtp_password: pydantic.SecretStr | None = None
    smtp_timeout_s: float = pydantic.Field(default=10.0, gt=0, le=300)
    send_timeout_s: float = pydantic.Field(default=30.0, gt=0, le=600)
    from_address: str = pydantic.Field(pattern=_ADDRESS, max_length=254)
    from_name: str = pydantic.Field(default="", max_length=100)
    templates: pathlib.Path | None = None

    @pydantic.field_validator("from_address")
    @classmethod
    def _is_taken_by_servers(cls, value: str) -> str:
        if len(value.partition("@")[0]) > _LOCAL_CHARS_MAX:
            raise ValueError(f"has more than {_LOCAL_CHARS_MAX} characters in front of the @")
        return value

    @pydantic.field_validator("from_name")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("has characters that can't be printed; give one line of text")
        return value

    @pydantic.model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if bool(self.smtp_username) != (self.smtp_password is not None):
            raise ValueError("give both SMTP_USERNAME and SMTP_PASSWORD, or neither")
        if self.smtp_password is not None and self.smtp_tls == "none":
            raise ValueError(
                "SMTP_PASSWORD would be sent readable; set SMTP_TLS to starttls or tls"
            )
        return self
