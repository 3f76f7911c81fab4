"""The audit log's settings, from `AUDIT_LOG_*`.

Owns names, defaults and ranges. Read once, by `__main__`; `verify` reads none.
"""

import pathlib

import pydantic
import pydantic_settings

from servicekit import settings


class AuditLogSettings(settings.ServiceSettings):
    """What `python -m subscribers.audit_log run` can be told.

    Args:
        events_target: host:port of the event gateway.
        key: API key with the scope events:read; with admin as well where `tenants` is set.
        consumer: Name of the durable consumer, made if missing, from the oldest event.
        tenants: Tenants to follow; none means the key's own.
        log: The log. The index `<log>.seen` lies beside it.
        anchor: Where the newest entry is written down; best on another volume, which those
            who can write to the log can't write to.
        digest_key: Makes digests HMACs under this key; at least 16 characters.
        batch_max: Most events under way, and most that share one fsync.
    """

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="AUDIT_LOG_")

    grpc_port: settings.Port = 50_071
    http_port: settings.Port = 8_091
    events_target: str = pydantic.Field(default="127.0.0.1:50052", min_length=1, max_length=256)
    key: settings.ApiKey
    consumer: str = pydantic.Field(default="audit-log", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    tenants: tuple[str, ...] = pydantic.Field(default=(), max_length=64)
    log: pathlib.Path = pathlib.Path("var/audit.jsonl")
    anchor: pathlib.Path
    digest_key: pydantic.SecretStr | None = pydantic.Field(default=None, min_length=16)
    batch_max: int = pydantic.Field(default=500, ge=1, le=1_000)
