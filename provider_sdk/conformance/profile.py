"""What the suite must be told of a provider.

Owns the YAML profile: its shape, every problem in it at once, and what its
placeholders stand for. Read by the command and the pytest plugin. Secrets come
from environment variables, never from the file.
"""

import os
import pathlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import pydantic
import yaml

from provider_sdk.conformance import canaries as canaries_module

PLACEHOLDERS = (
    "python",
    "port",
    "http_port",
    "state_dir",
    "upstream_url",
    "core_endpoint",
    "core_key",
)
FILE_BYTES_MAX = 1_048_576
APPROVE = "approve"

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")

Currency = Annotated[str, pydantic.Field(pattern=r"^[A-Z]{3}$")]
Command = Annotated[
    list[Annotated[str, pydantic.Field(min_length=1)]], pydantic.Field(min_length=1)
]
Instruments = dict[str, Annotated[str, pydantic.Field(min_length=1, max_length=255)]]


class ProfileInvalid(Exception):
    """The profile can't be used.

    Args:
        problems: Every problem, each with where it is and what to do.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Secret(_Part):
    """Where the value of a secret comes from: exactly one of the two.

    Args:
        env: Name of an environment variable.
        canary: The suite makes up a random value, for a provider that takes any.
        prefix: What such a value begins with, if the provider looks at that.
    """

    env: str = ""
    canary: bool = False
    prefix: Annotated[str, pydantic.Field(max_length=32, pattern=r"^[A-Za-z0-9_-]*$")] = ""

    @pydantic.model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.env) == self.canary:
            raise ValueError("give either `env: NAME` or `canary: true`")
        if self.env and self.prefix:
            raise ValueError("`prefix` goes with `canary: true`")
        return self


class Upstream(_Part):
    """How the provider is pointed at the suite's upstream double.

    Args:
        double: A double of your own, `module:Class`, for a provider that speaks to a system
            with another API; the class is a subclass of `upstream.Upstream`.
        command: Starts it; the profile's command by default.
        environment: Added to the profile's.
        config: Added to the profile's.
        instruments: Added to the profile's.
        secrets: Added to the profile's.
    """

    double: Annotated[str, pydantic.Field(pattern=r"^([A-Za-z_][\w.]*:[A-Za-z_]\w*)?$")] = ""
    command: Command | None = None
    environment: dict[str, str] = {}
    config: dict[str, Any] = {}
    instruments: Instruments = {}
    secrets: dict[str, Secret] = {}


class Previous(_Part):
    """The version before, for what must work across an upgrade.

    Args:
        command: Starts it; the profile's command by default.
        environment: Added to that of the newer one.
    """

    command: Command | None = None
    environment: dict[str, str] = {}


class Registration(_Part):
    """How the provider is told to register itself with a core.

    Args:
        environment: Added to the profile's; `{core_endpoint}` and `{core_key}` say where
            and as whom, `127.0.0.1:{port}` is where core reaches it.
        tls: Whether it then calls core with TLS: core's double serves what `--cert` names.
    """

    environment: dict[str, str]
    tls: bool = False


class Webhooks(_Part):
    """How the provider signs its webhooks, and one of them.

    Args:
        slot: The secret that signs.
        scheme: `standard` is that of Standard Webhooks, `stripe` a header `t=...,v1=...`.
        header: Its name for the scheme `stripe`; `stripe-signature` by default.
        body: An event, with `{event_id}`, `{binding_id}`, `{now_s}` and `{now_us}`.
    """

    slot: Annotated[str, pydantic.Field(min_length=1)]
    scheme: Literal["standard", "stripe"]
    header: str = ""
    body: Annotated[str, pydantic.Field(min_length=2, max_length=65_536)]


class Account(_Part):
    """A second merchant account at the same provider.

    Args:
        config: Added to the profile's.
        secrets: Added to the profile's.
    """

    config: dict[str, Any] = {}
    secrets: dict[str, Secret] = {}


class Profile(_Part):
    """One provider as the suite sees it.

    Args:
        plugin_id: Id it must answer with.
        config: A valid configuration of a binding.
        secrets: Source of each slot.
        other_account: What differs for a second account; not needed where every
            secret is a canary, or where there is none.
        instruments: Payment method tokens by what they do; `approve` is needed.
        currencies: Codes to pay in; better several, with 0, 2 and 3 decimals.
        amount_minor: What a payment is for unless a check says otherwise.
        command: Starts the provider; without it, it can't be stopped or killed.
        environment: Variables of that process, besides the suite's own. With
            `{upstream_url}` in them, or in `command`, every check has an upstream double.
        metrics_url: Where that process shows its metrics.
        start_timeout_s: How long it may take to be SERVING, seconds.
        stop_grace_s: How long it may take to end after SIGTERM, seconds.
        upstream: How to point it at the upstream double.
        previous: How to start the version before.
        registration: How to make it register itself.
        webhooks: How it signs webhooks; needed where it declares them.
    """

    plugin_id: Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9.-]{1,61}[a-z0-9]$")]
    config: dict[str, Any] = {}
    secrets: dict[str, Secret] = {}
    other_account: Account | None = None
    instruments: Instruments
    currencies: Annotated[list[Currency], pydantic.Field(min_length=1, max_length=50)] = ["EUR"]
    amount_minor: Annotated[int, pydantic.Field(ge=10, le=100_000_000)] = 1_000
    command: Command | None = None
    environment: dict[str, str] = {}
    metrics_url: str = ""
    start_timeout_s: Annotated[float, pydantic.Field(gt=0, le=600)] = 30.0
    stop_grace_s: Annotated[float, pydantic.Field(gt=0, le=600)] = 30.0
    upstream: Upstream | None = None
    previous: Previous | None = None
    registration: Registration | None = None
    webhooks: Webhooks | None = None

    @pydantic.field_validator("instruments")
    @classmethod
    def _has_approve(cls, value: Instruments) -> Instruments:
        if APPROVE not in value:
            raise ValueError("name at least `approve`, an instrument whose payments succeed")
        return value

    @pydantic.model_validator(mode="after")
    def _can_start(self) -> Self:
        problems = []
        if self.upstream is not None and not (self.command or self.upstream.command):
            problems.append("`upstream` needs a `command` that starts the provider")
        for text in _texts(self):
            for name in _PLACEHOLDER.findall(text):
                if name not in PLACEHOLDERS:
                    known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                    problems.append(f"unknown placeholder {{{name}}}; known are {known}")
        commands = (self.command, self.upstream.command if self.upstream else None)
        if any(one and not _mentions(one, self.environment, "port") for one in commands):
            problems.append("put {port} into `command` or `environment`: where to listen")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def always_asks_upstream(self) -> bool:
        """Whether the provider can't run without an upstream system: it is given the double."""
        return self.command is not None and _mentions(
            self.command, self.environment, "upstream_url"
        )

    def at_upstream(self) -> Self:
        """Returns the profile of the provider pointed at the upstream double."""
        if self.upstream is None:
            raise ValueError("the profile has no upstream section")
        above = self.upstream
        return self.model_copy(
            update={
                "command": above.command or self.command,
                "environment": {**self.environment, **above.environment},
                "config": {**self.config, **above.config},
                "instruments": {**self.instruments, **above.instruments},
                "secrets": {**self.secrets, **above.secrets},
            }
        )

    def before(self) -> Self:
        """Returns the profile of the version before."""
        if self.previous is None:
            raise ValueError("the profile has no previous section")
        above = self.previous
        return self.model_copy(
            update={
                "command": above.command or self.command,
                "environment": {**self.environment, **above.environment},
            }
        )

    def registering(self) -> Self:
        """Returns the profile of the provider that registers itself."""
        if self.registration is None:
            raise ValueError("the profile has no registration section")
        environment = {**self.environment, **self.registration.environment}
        return self.model_copy(update={"environment": environment})


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What the placeholders stand for.

    Args:
        port: gRPC port.
        http_port: A second free port.
        state_dir: Folder that survives restarts of one process.
        upstream_url: Base URL of the upstream double; empty without one.
        core_endpoint: Where the double of core listens; empty without one.
        core_key: API key the double of core takes.
    """

    port: int
    http_port: int
    state_dir: pathlib.Path
    upstream_url: str = ""
    core_endpoint: str = ""
    core_key: str = ""

    def fill(self, value: Any) -> Any:
        """Returns *value* with the placeholders of every text in it filled."""
        if isinstance(value, str):
            names = {
                "python": sys.executable,
                "port": str(self.port),
                "http_port": str(self.http_port),
                "state_dir": str(self.state_dir),
                "upstream_url": self.upstream_url,
                "core_endpoint": self.core_endpoint,
                "core_key": self.core_key,
            }
            return _PLACEHOLDER.sub(lambda match: names.get(match[1], match[0]), value)
        if isinstance(value, Mapping):
            return {key: self.fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        return value


def values(secrets: Mapping[str, Secret], canaries: canaries_module.Canaries) -> dict[str, bytes]:
    """Returns the value of each slot, and has *canaries* look out for it."""
    found = {}
    for slot, secret in secrets.items():
        value = (
            os.environ.get(secret.env, "").encode()
            if secret.env
            else canaries.new(slot, secret.prefix)
        )
        canaries.watch(slot, value)
        found[slot] = value
    return found


def load(path: pathlib.Path, env: Mapping[str, str] | None = None) -> Profile:
    """Reads a profile.

    Args:
        path: YAML file.
        env: Where secrets are looked up; the process's environment by default.

    Raises:
        ProfileInvalid: With every problem.
    """
    document = _document(path)
    try:
        profile = Profile.model_validate(document)
    except pydantic.ValidationError as failure:
        raise ProfileInvalid(
            [_problem(path, error) for error in failure.errors(include_url=False)]
        ) from failure
    missing = _missing(profile, os.environ if env is None else env)
    if missing:
        raise ProfileInvalid([f"{path}: {text}" for text in missing])
    return profile


def _document(path: pathlib.Path) -> Any:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as failure:
        reason = failure.strerror or "not readable"
        raise ProfileInvalid(
            [f"{path}: can't be read ({reason}); give the provider's profile"]
        ) from failure
    if len(raw) > FILE_BYTES_MAX:
        raise ProfileInvalid([f"{path}: larger than 1 MiB; give a profile"])
    try:
        document = yaml.safe_load(raw)
    except yaml.YAMLError as failure:
        mark = getattr(failure, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        text = getattr(failure, "problem", None) or "not YAML"
        raise ProfileInvalid([f"{path}: {line}{text}; write YAML"]) from failure
    if not isinstance(document, dict):
        raise ProfileInvalid([f"{path}: not a mapping; start with `plugin_id: ...`"])
    return document


def _problem(path: pathlib.Path, error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "(whole)"
    if error["type"] == "missing":
        return f"{path}: {place}: required; add it"
    if error["type"] == "extra_forbidden":
        return f"{path}: {place}: unknown; remove it or correct the spelling"
    return f"{path}: {place}: {str(error['msg']).removeprefix('Value error, ')}"


def secret_variables(profile: Profile) -> list[str]:
    """Returns the names of the variables that hold secrets."""
    above = profile.upstream.secrets if profile.upstream else {}
    other = profile.other_account.secrets if profile.other_account else {}
    named = [*profile.secrets.values(), *above.values(), *other.values()]
    return sorted({secret.env for secret in named if secret.env})


def _missing(profile: Profile, env: Mapping[str, str]) -> list[str]:
    return [
        f"the environment variable {name} is not set; export the secret in it"
        for name in secret_variables(profile)
        if not env.get(name)
    ]


def _mentions(command: list[str], environment: Mapping[str, str], name: str) -> bool:
    return any(f"{{{name}}}" in text for text in (*command, *environment.values()))


def _texts(profile: Profile) -> list[str]:
    texts = [*(profile.command or ()), *profile.environment.values(), profile.metrics_url]
    if profile.registration is not None:
        texts += profile.registration.environment.values()
    if profile.upstream is not None:
        texts += [*(profile.upstream.command or ()), *profile.upstream.environment.values()]
    return texts
