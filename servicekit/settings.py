"""Settings from the environment, and from nowhere else.

Owns reading and checking: every problem is listed at once and the process ends
with status 2. Called by each `__main__` once; nothing else reads the
environment. Secrets are SecretStr and may come from a file (`<NAME>_FILE`).
"""

import difflib
import json
import os
import re
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import pydantic_settings

from servicekit import tls

Port = Annotated[int, pydantic.Field(ge=0, le=65_535)]

_VISIBLE = re.compile(r"[!-~]{1,512}")


def _sendable(key: pydantic.SecretStr) -> pydantic.SecretStr:
    if not _VISIBLE.fullmatch(key.get_secret_value()):
        raise ValueError("not an API key; give one line of visible characters, without blanks")
    return key


def _of_known_kind(url: pydantic.SecretStr) -> pydantic.SecretStr:
    if not url.get_secret_value().startswith(("sqlite:///", "postgresql://", "postgres://")):
        raise ValueError("starts with neither sqlite:/// nor postgresql://")
    return url


# A key that this process calls others with.
ApiKey = Annotated[pydantic.SecretStr, pydantic.AfterValidator(_sendable)]
# What `storage.open_database` takes.
DatabaseUrl = Annotated[pydantic.SecretStr, pydantic.AfterValidator(_of_known_kind)]

SECRET_FILE_BYTES_MAX = 65_536
# What stopping takes at most beside the times that are set up: closing databases and sockets.
STOP_EXTRA_S = 20.0

# Kubernetes and old Docker links put these into every container for a service
# of the same name; they are not meant for us.
_INJECTED = re.compile(r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP)(_\w+)?")


class ServiceSettings(pydantic_settings.BaseSettings):
    """What every process can be told; subclasses set `env_prefix` and add fields."""

    model_config = pydantic_settings.SettingsConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    host: str = pydantic.Field(default="127.0.0.1", min_length=1)
    grpc_port: Port = 0
    http_port: Port = 0
    drain_delay_s: float = pydantic.Field(default=0.0, ge=0, le=300)
    drain_grace_s: float = pydantic.Field(default=20.0, ge=0, le=600)

    # PEM files. With these two gRPC is served with TLS; renewed ones are taken without a restart.
    tls_cert_path: Path | None = None
    tls_key_path: Path | None = None
    # Others are called with TLS, and believed if one of these authorities certifies them.
    tls_ca_path: Path | None = None
    # Who calls must have a certificate of one of these.
    tls_client_ca_path: Path | None = None

    @pydantic.model_validator(mode="after")
    def _tls_files_fit(self) -> typing.Self:
        self.tls_files.check()
        return self

    @property
    def tls_files(self) -> tls.Files:
        """What TLS is made of, as it was set up."""
        return tls.Files(
            cert=self.tls_cert_path,
            key=self.tls_key_path,
            ca=self.tls_ca_path,
            client_ca=self.tls_client_ca_path,
        )

    @property
    def stop_longest_s(self) -> float:
        """How long a process takes at most to end when it is told to, seconds.

        Calls have the grace, and what they began has it once more after them.
        """
        return self.drain_delay_s + 2 * self.drain_grace_s + STOP_EXTRA_S

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[pydantic_settings.BaseSettings],
        init_settings: pydantic_settings.PydanticBaseSettingsSource,
        env_settings: pydantic_settings.PydanticBaseSettingsSource,
        dotenv_settings: pydantic_settings.PydanticBaseSettingsSource,
        file_secret_settings: pydantic_settings.PydanticBaseSettingsSource,
    ) -> tuple[pydantic_settings.PydanticBaseSettingsSource, ...]:
        """Take values from arguments alone; `load` gives them the environment's."""
        return (init_settings,)


S = TypeVar("S", bound=ServiceSettings)


def load(cls: type[S], env: Mapping[str, str] | None = None) -> S:
    """Read `cls` from `env` (default: the process's environment).

    Blanks and line ends around a value are no part of it; an empty one counts as not set.

    Raises:
        SystemExit: 2, after every problem was printed to stderr, one per line.
    """
    settings, problems = check(cls, os.environ if env is None else env)
    if settings is None:
        for problem in problems:
            sys.stderr.write(problem + "\n")
        raise SystemExit(2)
    return settings


def check(cls: type[S], env: Mapping[str, str]) -> tuple[S | None, list[str]]:
    """Return the settings, or None and every problem with its variable and way out."""
    names = variables(cls)
    prefix = _prefix(cls)
    problems: list[str] = []
    values: dict[str, Any] = {}
    for variable, field_name in names.items():
        text = env.get(variable, "").strip()
        if not text:
            continue
        if variable != f"{prefix}{field_name}".upper():
            _read_secret(variable, text, env, field_name, values, problems)
        elif _is_complex(cls.model_fields[field_name].annotation):
            _read_json(variable, text, field_name, values, problems)
        else:
            values[field_name] = text
    problems += _unknown(cls, env, names)
    try:
        settings = cls(**values)
    except pydantic.ValidationError as failure:
        for error in failure.errors(include_url=False, include_input=False):
            problems.append(_describe(prefix, error))
        return None, problems
    return (None, problems) if problems else (settings, [])


def variables(cls: type[ServiceSettings]) -> dict[str, str]:
    """Return every variable that `cls` reads, with its field's name."""
    prefix = _prefix(cls)
    names = {f"{prefix}{field_name}".upper(): field_name for field_name in cls.model_fields}
    for field_name, field in cls.model_fields.items():
        if _is_secret(field.annotation):
            names.setdefault(f"{prefix}{field_name}_FILE".upper(), field_name)
    return names


def _prefix(cls: type[ServiceSettings]) -> str:
    return str(cls.model_config.get("env_prefix", "")).upper()


def _leaves(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, Annotated):
        return [leaf for part in typing.get_args(annotation) for leaf in _leaves(part)]
    return [origin or annotation]


def _is_secret(annotation: Any) -> bool:
    return pydantic.SecretStr in _leaves(annotation)


def _is_complex(annotation: Any) -> bool:
    return any(
        isinstance(leaf, type)
        and issubclass(leaf, (dict, list, tuple, set, frozenset, Mapping, pydantic.BaseModel))
        for leaf in _leaves(annotation)
    )


def _read_secret(
    variable: str,
    path: str,
    env: Mapping[str, str],
    field_name: str,
    values: dict[str, Any],
    problems: list[str],
) -> None:
    plain = variable.removesuffix("_FILE")
    if env.get(plain, "").strip():
        problems.append(f"{variable}: {plain} is set too; keep one of them")
        return
    try:
        with Path(path).open("rb") as file:
            content = file.read(SECRET_FILE_BYTES_MAX + 1)
        if len(content) > SECRET_FILE_BYTES_MAX:
            problems.append(f"{variable}: {path} is larger than 64 KiB; give the secret's file")
            return
        values[field_name] = content.decode().strip()
    except (OSError, UnicodeDecodeError) as failure:
        reason = getattr(failure, "strerror", None) or "not UTF-8 text"
        problems.append(f"{variable}: can't read {path} ({reason}); give a readable file")


def _read_json(
    variable: str, text: str, field_name: str, values: dict[str, Any], problems: list[str]
) -> None:
    try:
        values[field_name] = json.loads(text)
    except json.JSONDecodeError as failure:
        problems.append(f"{variable}: not JSON ({failure.msg} at {failure.pos}); give JSON")


def _unknown(
    cls: type[ServiceSettings], env: Mapping[str, str], names: Mapping[str, str]
) -> list[str]:
    prefix = _prefix(cls)
    problems = []
    for variable in sorted(env):
        if not prefix or not variable.startswith(prefix) or variable in names:
            continue
        if _INJECTED.fullmatch(variable.removeprefix(prefix)):
            continue
        near = difflib.get_close_matches(variable, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "remove it"
        problems.append(f"{variable}: unknown variable; {hint}")
    return problems


def _describe(prefix: str, error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    variable = f"{prefix}{location[0]}".upper() if location else prefix.rstrip("_")
    inside = f" ({'.'.join(location[1:])})" if len(location) > 1 else ""
    if error["type"] == "missing":
        return f"{variable}: required; set it"
    return f"{variable}{inside}: {error['msg']}"
