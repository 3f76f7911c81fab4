"""What payment_service can be told, by environment variables `PAYMENT_SERVICE_*`.

Owns names, defaults and ranges. Read once by `__main__`; nothing else reads
the environment.
"""

import pathlib
from typing import Annotated, Any

import pydantic
import pydantic_settings

from servicekit import auth, encryption_keys, errors, settings

ProviderName = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9.-]{1,61}[a-z0-9]$")]
Endpoint = Annotated[str, pydantic.Field(pattern=r"^.+:\d+$")]
Slot = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
SecretText = Annotated[str, pydantic.Field(min_length=1, max_length=65_536)]
EncryptionKeys = encryption_keys.Setting
Seconds = Annotated[float, pydantic.Field(gt=0, le=86_400)]

PASSPHRASE_CHARS_MIN = 12
# What callers are promised: a repeat under its key within this time does nothing twice.
IDEMPOTENCY_DAYS_MIN = 30


def _well_formed(key: pydantic.SecretStr) -> pydantic.SecretStr:
    try:
        auth.parse_key(key.get_secret_value())
    except errors.RpcError as problem:
        raise ValueError(problem.message) from None
    return key


# A key that this process makes valid.
OwnKey = Annotated[pydantic.SecretStr, pydantic.AfterValidator(_well_formed)]
_SECRETS: pydantic.TypeAdapter[dict[str, dict[str, str]]] = pydantic.TypeAdapter(
    dict[str, dict[Slot, SecretText]]
)


class Settings(settings.ServiceSettings):
    """Settings of payment_service; times are seconds."""

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="PAYMENT_SERVICE_")

    grpc_port: settings.Port = 50051
    http_port: settings.Port = 8080

    database_url: settings.DatabaseUrl = pydantic.SecretStr("sqlite:///var/payments.db")
    database_pool_size: int = pydantic.Field(default=4, ge=1, le=64)
    database_statement_timeout_s: Seconds = 10.0
    auto_migrate: bool | None = None

    # Reached without an operator; all others are allowed and enabled by one.
    providers: dict[ProviderName, Endpoint] = pydantic.Field(default={"mock": "127.0.0.1:50061"})
    default_provider: str = ""
    provider_config: dict[str, dict[str, Any]] = pydantic.Field(default_factory=dict)
    # JSON: {"<plugin id>": {"<slot>": "<secret>"}}.
    provider_secrets: pydantic.SecretStr | None = None
    provider_timeout_s: Seconds = 20.0
    provider_connect_s: Seconds = 1.0
    provider_skew_s: float = pydantic.Field(default=2.0, ge=0, le=600)
    # What one provider may tie up when it hangs.
    provider_calls_max: int = pydantic.Field(default=512, ge=1, le=10_000)
    provider_lookups_max: int = pydantic.Field(default=16, ge=1, le=1_000)
    breaker_calls_min: int = pydantic.Field(default=10, ge=1, le=100_000)
    breaker_open_first_s: Seconds = 2.0
    breaker_open_longest_s: Seconds = 60.0

    plugin_lease_s: Seconds = 15.0
    plugin_probe_s: Seconds = 5.0
    # 0 turns the rule off.
    plugin_crashes_max: int = pydantic.Field(default=3, ge=0, le=1_000)
    plugin_faults_max: int = pydantic.Field(default=3, ge=0, le=1_000)
    plugin_key_path: pathlib.Path | None = None
    upgrade_stand_by_s: Seconds = 600.0

    encryption_keys: EncryptionKeys | None = None
    encryption_key_path: pathlib.Path | None = None

    backup_dir: pathlib.Path | None = None
    backup_every_s: float = pydantic.Field(default=86_400.0, gt=0, le=31 * 86_400)
    backup_keep: int = pydantic.Field(default=30, ge=1, le=10_000)
    # Without it backups hold no secrets.
    backup_passphrase: pydantic.SecretStr | None = None

    resolver_enabled: bool = True
    resolver_idle_s: Seconds = 0.5
    resolver_doubt_first_s: Seconds = 1.0
    resolver_pending_first_s: Seconds = 10.0
    resolver_longest_s: Seconds = 3600.0
    resolver_grace_s: Seconds = 2.0
    # A crashed process's operations wait this long. A look-up that takes longer is made twice.
    resolver_lease_s: Seconds = 30.0

    # 0: for ever.
    idempotency_keep_days: float = pydantic.Field(default=400.0, ge=0, le=36_500)

    webhook_body_bytes_max: int = pydantic.Field(default=1_048_576, ge=1_024, le=1_048_576)
    webhook_concurrency_max: int = pydantic.Field(default=64, ge=1, le=10_000)
    webhook_tolerance_s: Seconds = 300.0
    webhook_idle_s: Seconds = 1.0
    webhook_keep_days: float = pydantic.Field(default=30.0, ge=1, le=3_650)
    # Of those that were rejected, which anybody can make.
    webhook_rejected_max: int = pydantic.Field(default=10_000, ge=1, le=10_000_000)

    relay_enabled: bool = True
    gateway_endpoint: Endpoint = "127.0.0.1:50052"
    gateway_wait_s: float = pydantic.Field(default=10.0, ge=0, le=600)
    relay_key: OwnKey | None = None
    relay_idle_s: Seconds = 0.25
    relay_check_s: Seconds = 5.0
    relay_keep_days: float = pydantic.Field(default=30.0, ge=0, le=36_500)
    relay_key_path: pathlib.Path = pathlib.Path("var/relay.key")

    dev_key_path: pathlib.Path | None = None
    bootstrap_key: OwnKey | None = None
    key_cache_s: Seconds = 30.0

    @pydantic.model_validator(mode="after")
    def _default_is_set_up(self) -> "Settings":
        if self.default_provider and self.default_provider not in self.providers:
            raise ValueError(
                f"default_provider {self.default_provider!r} is not among providers "
                f"({', '.join(sorted(self.providers))})"
            )
        unknown = set(self.provider_config) - set(self.providers)
        if unknown:
            raise ValueError(f"provider_config names {sorted(unknown)}, not among providers")
        unknown = set(self.provider_secret_values) - set(self.providers)
        if unknown:
            raise ValueError(f"provider_secrets names {sorted(unknown)}, not among providers")
        return self

    @pydantic.field_validator("idempotency_keep_days")
    @classmethod
    def _keys_are_kept(cls, days: float) -> float:
        if 0 < days < IDEMPOTENCY_DAYS_MIN:
            raise ValueError(f"is 0, for ever, or at least {IDEMPOTENCY_DAYS_MIN}")
        return days

    @pydantic.model_validator(mode="after")
    def _passphrase_is_long(self) -> "Settings":
        given = self.backup_passphrase
        if given is not None and len(given.get_secret_value()) < PASSPHRASE_CHARS_MIN:
            raise ValueError(
                f"backup_passphrase must have at least {PASSPHRASE_CHARS_MIN} characters"
            )
        return self

    @property
    def provider_secret_values(self) -> dict[str, dict[str, str]]:
        """The secrets of the environment: by provider and slot.

        Raises:
            ValueError: They are not JSON of that form; says nothing of what they hold.
        """
        if self.provider_secrets is None:
            return {}
        try:
            found: dict[str, dict[str, str]] = _SECRETS.validate_json(
                self.provider_secrets.get_secret_value()
            )
        except pydantic.ValidationError:
            raise ValueError(
                'provider_secrets must be JSON like {"<plugin id>": {"<slot>": "<secret>"}}'
            ) from None
        return found

    @property
    def embedded(self) -> bool:
        """Whether this is the embedded default: one process, one SQLite file."""
        return self.database_url.get_secret_value().startswith("sqlite:")

    @property
    def migrates_at_start(self) -> bool:
        """Whether migrations run at start: in the embedded default, unless told otherwise."""
        return self.embedded if self.auto_migrate is None else self.auto_migrate

    @property
    def default_plugin(self) -> str:
        """The provider used when neither request nor tenant names one; '' for none."""
        return self.default_provider or next(iter(self.providers), "")

    @property
    def encryption_key_file(self) -> pathlib.Path | None:
        """Where the key of stored secrets is kept: in the embedded default, unless told."""
        if self.encryption_key_path is not None:
            return self.encryption_key_path
        return pathlib.Path("var/encryption.key") if self.embedded else None

    @property
    def plugin_key(self) -> pathlib.Path | None:
        """Where the plugins' key is kept: in the embedded default, unless told otherwise."""
        if self.plugin_key_path is not None:
            return self.plugin_key_path
        return pathlib.Path("var/plugin.key") if self.embedded else None

    @property
    def development_key(self) -> pathlib.Path | None:
        """Where a development key is kept: in the embedded default, unless told otherwise."""
        if self.dev_key_path is not None:
            return self.dev_key_path
        return pathlib.Path("var/dev.key") if self.embedded else None
