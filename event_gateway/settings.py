"""What the gateway can be told: EVENT_GATEWAY_… in the environment.

Owns names, defaults and limits. Loaded once by `__main__`; nothing else reads
the environment.
"""

import pathlib

import pydantic
import pydantic_settings

from servicekit import encryption_keys, settings

EncryptionKeys = encryption_keys.Setting


class Settings(settings.ServiceSettings):
    """Settings of one gateway process."""

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="EVENT_GATEWAY_")

    grpc_port: settings.Port = 50052
    http_port: settings.Port = 8081

    # The log: sqlite:///relative, sqlite:////absolute or postgresql://…
    database_url: settings.DatabaseUrl = pydantic.SecretStr("sqlite:///var/events.db")
    database_pool_size: int = pydantic.Field(default=8, ge=2, le=64)
    # Whether `serve` migrates first. Unset: yes for SQLite, no for PostgreSQL,
    # where several processes share one schema and an operator decides when.
    auto_migrate: bool | None = None

    # Who answers IntrospectKey.
    keys_endpoint: str = pydantic.Field(default="127.0.0.1:50051", min_length=1)
    key_cache_ttl_s: float = pydantic.Field(default=30.0, ge=0, le=60)
    # How often the keys of open streams are asked about again.
    key_recheck_s: float = pydantic.Field(default=20.0, gt=0, le=50)

    # Live wake-ups happen at most this often; 0 means at once, or as each stream
    # wishes. 10 ms takes a hundred streams at a thousand events a second to a third
    # of the CPU.
    tick_ms: float = pydantic.Field(default=0.0, ge=0, le=250)
    # How long the consumers of a replica that died wait for another one.
    consumer_lease_s: float = pydantic.Field(default=10.0, ge=1, le=60)
    # Where the other replicas reach this one, host:port; empty: the host's name and the port it
    # listens on. Members of a consumer that another replica runs are passed on to there.
    advertised_endpoint: str = ""

    # Memory for the newest events; slower readers are fed from storage.
    window_bytes: int = pydantic.Field(default=64 * 1024 * 1024, ge=64 * 1024)
    streams_per_tenant_max: int = pydantic.Field(default=10_000, ge=1)
    stream_age_max_s: float = pydantic.Field(default=3600.0, gt=0, le=86_400)
    # A stream whose client takes nothing for so long is ended.
    stall_timeout_s: float = pydantic.Field(default=300.0, ge=1, le=3600)
    # How long a cursor ahead of the log is waited for: a database may have to catch
    # up after a failover.
    cursor_ahead_wait_s: float = pydantic.Field(default=5.0, ge=0, le=30)
    # Reads of storage at a time for catching-up streams, of which each has two at most, and as
    # many for durable consumers; fewer than there are connections that read (four at most on
    # SQLite).
    catch_up_reads_max: int = pydantic.Field(default=3, ge=1, le=32)
    # Streams that the gateway closes come back spread over this time.
    reconnect_spread_s: float = pydantic.Field(default=5.0, ge=0, le=60)

    # Events are kept for this long and up to these bytes; 0: for ever, without limit.
    retention_s: float = pydantic.Field(default=0.0, ge=0)
    retention_bytes: int = pydantic.Field(default=0, ge=0)
    # What no durable consumer has dealt with yet is kept longer, up to so many times
    # the retention; then it goes too.
    retention_for_consumers: float = pydantic.Field(default=2.0, ge=1, le=100)
    retention_every_s: float = pydantic.Field(default=30.0, gt=0, le=3600)
    # Between the checkpoint that readers get before events go, and the deletion.
    retention_lead_s: float = pydantic.Field(default=10.0, ge=0, le=600)
    # The ids of events are remembered for this long, and as long as the event is kept:
    # what is published again within it is answered with the first copy. 0: for ever.
    dedup_s: float = pydantic.Field(default=90 * 86_400.0, ge=0)

    # Keys that encrypt the secrets of webhook endpoints, newest first; or a file that is made if
    # it is missing. SQLite: gateway.key beside the log. Without keys no endpoint can be made.
    encryption_keys: EncryptionKeys | None = None
    encryption_key_path: pathlib.Path | None = None
    # What is allowed beside https URLs to public addresses.
    webhook_plain_http: bool = False
    webhook_private_targets: bool = False
    # An endpoint to which nothing could be delivered for so long is disabled.
    webhook_disable_after_s: float = pydantic.Field(default=5 * 86_400.0, gt=0)
    # How long attempts stay in the delivery log, and what was given up can be sent again.
    webhook_log_s: float = pydantic.Field(default=30 * 86_400.0, ge=3600)

    @property
    def encryption_key_file(self) -> pathlib.Path | None:
        """Where the encryption keys are, if they are in a file."""
        if self.encryption_key_path is not None:
            return self.encryption_key_path
        url = self.database_url.get_secret_value()
        if not url.startswith("sqlite:///"):
            return None
        return pathlib.Path(url.removeprefix("sqlite:///")).with_name("gateway.key")

    @property
    def migrates(self) -> bool:
        """Whether `serve` brings the schema up to date."""
        if self.auto_migrate is not None:
            return self.auto_migrate
        return self.database_url.get_secret_value().startswith("sqlite:")
