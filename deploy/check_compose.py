"""Resolves every command, port and variable of the compose files against the services.

Owns the rules of what may stand in them; the settings classes decide which variables
exist and where a process listens. Called by `make check`. Never starts a service.
"""

import dataclasses
import functools
import importlib.util
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from deploy import compose, requirements
from event_gateway import settings as gateway_settings
from payment_service import settings as payments_settings
from provider_mock import settings as mock_settings
from provider_stripe import settings as stripe_settings
from servicekit import settings as kit_settings
from subscribers.audit_log import settings as audit_settings
from subscribers.email_notifier import settings as email_settings

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASE = ROOT / "docker-compose.yml"
# Each is what a person gives to `docker compose -f`.
VARIANTS: Mapping[str, Sequence[pathlib.Path]] = {
    "docker-compose.yml": [BASE],
    "docker-compose.embedded.yml": [BASE, ROOT / "docker-compose.embedded.yml"],
    "docker-compose.stripe.yml": [BASE, ROOT / "docker-compose.stripe.yml"],
    "docker-compose.subscribers.yml": [BASE, ROOT / "docker-compose.subscribers.yml"],
}
SETTINGS: Mapping[str, type[kit_settings.ServiceSettings]] = {
    "payment_service": payments_settings.Settings,
    "event_gateway": gateway_settings.Settings,
    "provider_mock": mock_settings.MockSettings,
    "provider_stripe": stripe_settings.StripeSettings,
    "subscribers.audit_log": audit_settings.AuditLogSettings,
    "subscribers.email_notifier": email_settings.Settings,
}
# Commands that go on until they are told to end; the relay alone listens for health and metrics.
SERVING = (("serve",), ("run",), ("relay",))
# The others serve when nothing else is said.
NEEDS_COMMAND = frozenset({"subscribers.audit_log"})
# What files ask for (`${NAME:?…}`) because only an operator knows it.
STAND_INS: Mapping[str, str] = {
    "AUDIT_LOG_KEY": "stand-in",
    "EMAIL_NOTIFIER_KEY": "stand-in",
    "EMAIL_NOTIFIER_SMTP_HOST": "mx.example.com",
    "EMAIL_NOTIFIER_FROM_ADDRESS": "billing@example.com",
}
# Ports of images that are not ours.
FOREIGN_PORTS: Mapping[str, int] = {"postgres": 5432}
# Read by libraries, in every process.
LIBRARY_VARIABLES = frozenset({"GRPC_VERBOSITY"})
HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})
ENDPOINT = re.compile(r"(?<![\w.])(?P<host>[a-z][a-z0-9_-]*):(?P<port>\d+)(?!\w)")
HEALTH_URL = re.compile(r"http://127\.0\.0\.1:(?P<port>\d+)(?P<path>/\w*)")
PUBLISHED = re.compile(r"(?:(?:[\d.]+:)?\d+:)?(?P<container>\d+)(?:/tcp)?")
NAMED_VOLUME = re.compile(r"(?P<name>\w[\w.-]*):(?P<folder>[^:]+)(?::\w+)?")
OWNED_FOLDERS = re.compile(r"install -d -o payhub -g payhub (?P<folders>[^\n&]+)")
COMMAND_TIMEOUT_S = 30.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One of our processes in a compose file, as far as it could be resolved."""

    module: str
    arguments: tuple[str, ...]
    settings: kit_settings.ServiceSettings | None

    @property
    def serves(self) -> bool:
        """Whether it listens; `migrate` and others do their work and end."""
        if not self.arguments:
            return self.module not in NEEDS_COMMAND
        return self.arguments in SERVING


def check(
    content: Mapping[str, Any], has_command: Callable[[str, tuple[str, ...]], bool]
) -> list[str]:
    """Returns every problem of a merged compose file, each with the service's name."""
    services: Mapping[str, Mapping[str, Any]] = content.get("services", {})
    problems: list[str] = []
    processes: dict[str, Process] = {}
    for name, service in services.items():
        if "build" not in service:
            continue
        process = _process(name, service, has_command, problems)
        if process is not None:
            processes[name] = process
    for name, service in services.items():
        problems += [f"{name}: {text}" for text in _dependencies(service, services, processes)]
        problems += [f"{name}: {text}" for text in _endpoints(service, services, processes)]
        problems += [f"{name}: {text}" for text in _volumes(service, content.get("volumes") or {})]
        if name in processes and processes[name].settings is not None:
            problems += [f"{name}: {text}" for text in _listening(service, processes[name])]
    return problems


def _process(
    name: str,
    service: Mapping[str, Any],
    has_command: Callable[[str, tuple[str, ...]], bool],
    problems: list[str],
) -> Process | None:
    extra = service["build"].get("args", {}).get("EXTRA", "")
    if extra not in requirements.load_extras():
        problems.append(f"{name}: build argument EXTRA: pyproject.toml has no extra {extra!r}")
    command = service.get("command")
    if not isinstance(command, list) or not command or command[0] not in SETTINGS:
        known = ", ".join(SETTINGS)
        problems.append(f"{name}: command {command!r} has to be a list that begins with {known}")
        return None
    module, arguments = command[0], tuple(command[1:])
    if extra != module.rpartition(".")[2].replace("_", "-"):
        problems.append(f"{name}: runs {module}, but its image is built for {extra!r}")
    if not has_command(module, arguments) or (module in NEEDS_COMMAND and not arguments):
        problems.append(f"{name}: `python -m {' '.join(command)}` is not a command")
    environment = service.get("environment") or {}
    if not isinstance(environment, Mapping):
        problems.append(f"{name}: environment has to be a mapping, not a list")
        environment = {}
    texts = {key: str(value) for key, value in environment.items()}
    cls = SETTINGS[module]
    known_names = kit_settings.variables(cls)
    prefix = str(cls.model_config.get("env_prefix"))
    problems += [
        f"{name}: {key} is read by no setting of {module}"
        for key in texts
        if key not in LIBRARY_VARIABLES and key not in known_names and not key.startswith(prefix)
    ]
    settings, wrong = kit_settings.check(cls, texts)
    problems += [f"{name}: {text}" for text in wrong]
    return Process(module=module, arguments=arguments, settings=settings)


def _listening(service: Mapping[str, Any], process: Process) -> list[str]:
    """Returns problems of what a process listens on."""
    settings = process.settings
    assert settings is not None
    listens = {settings.grpc_port: "gRPC", settings.http_port: "HTTP"}
    stated = " and ".join(f"{port} ({what})" for port, what in listens.items())
    problems = []
    for text in map(str, service.get("ports", [])):
        match = PUBLISHED.fullmatch(text)
        if match is None:
            problems.append(f"port {text!r} can't be read; write host:container")
        elif not process.serves or int(match["container"]) not in listens:
            problems.append(f"port {text} is published, but the process listens on {stated}")
    if not process.serves:
        return problems
    if settings.host not in ANY_ADDRESS:
        problems.append(f"listens on {settings.host}, which no other container reaches")
    test = " ".join(map(str, service.get("healthcheck", {}).get("test", [])))
    match = HEALTH_URL.search(test)
    if match is None:
        problems.append("has no healthcheck that asks http://127.0.0.1:<port>/readyz")
    elif int(match["port"]) != settings.http_port or match["path"] not in HEALTH_PATHS:
        problems.append(f"healthcheck asks {match[0]}, but HTTP is on {settings.http_port}")
    longest_s = settings.stop_longest_s
    stop_s = float(str(service.get("stop_grace_period", "10s")).removesuffix("s"))
    if stop_s < longest_s:
        problems.append(f"stop_grace_period {stop_s:g} s cuts off a drain of {longest_s:g} s")
    return problems


def _dependencies(
    service: Mapping[str, Any],
    services: Mapping[str, Mapping[str, Any]],
    processes: Mapping[str, Process],
) -> Iterable[str]:
    """Yields problems of the other services that a service waits for."""
    for needed, how in (service.get("depends_on") or {}).items():
        if needed not in services:
            yield f"depends on {needed}, which is not a service"
        elif how["condition"] == "service_healthy" and "healthcheck" not in services[needed]:
            yield f"waits until {needed} is healthy, but that has no healthcheck"
        elif how["condition"] == "service_completed_successfully" and (
            needed in processes and processes[needed].serves
        ):
            yield f"waits until {needed} has ended, but that goes on serving"


def _endpoints(
    service: Mapping[str, Any],
    services: Mapping[str, Mapping[str, Any]],
    processes: Mapping[str, Process],
) -> Iterable[str]:
    """Yields problems of the addresses of other services that a service is given."""
    environment = service.get("environment") or {}
    if not isinstance(environment, Mapping):
        return
    for key, value in environment.items():
        for match in ENDPOINT.finditer(str(value)):
            host, port = match["host"], int(match["port"])
            target = processes.get(host)
            if host not in services:
                yield f"{key} names {host}:{port}, but there is no service {host}"
            elif target is None and FOREIGN_PORTS.get(host) != port:
                yield f"{key} names {host}:{port}, which does not listen there"
            elif target and target.settings and target.settings.grpc_port != port:
                yield f"{key} names {host}:{port}, its gRPC port is {target.settings.grpc_port}"


def _volumes(service: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterable[str]:
    """Yields problems of named volumes; a new one belongs to whom its folder in the image does."""
    for text in map(str, service.get("volumes", [])):
        match = NAMED_VOLUME.fullmatch(text)
        if match is None:
            continue
        if match["name"] not in declared:
            yield f"mounts {match['name']}, which is not among the volumes"
        if "build" in service and match["folder"] not in owned_folders():
            yield f"can't write to {match['folder']}: the Dockerfile makes no such folder for it"


@functools.cache
def owned_folders() -> frozenset[str]:
    """Returns the folders that images make for the user who runs in them."""
    match = OWNED_FOLDERS.search((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    return frozenset(match["folders"].split()) if match else frozenset()


def load(variant: str) -> dict[str, Any]:
    """Returns the merged content of a variant; raises compose.ComposeError."""
    return compose.load(VARIANTS[variant], STAND_INS)


@functools.cache
def has_command(module: str, arguments: tuple[str, ...]) -> bool:
    """Tells whether a process knows a command, by asking it for help on it."""
    if importlib.util.find_spec(f"{module}.__main__") is None:
        return False
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--help"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=COMMAND_TIMEOUT_S,
    )
    return result.returncode == 0


def main() -> None:
    """Prints every problem and exits 1 if there is one."""
    problems: list[str] = []
    for variant in VARIANTS:
        try:
            found = check(load(variant), has_command)
        except compose.ComposeError as error:
            found = [str(error)]
        problems += [f"{variant}: {text}" for text in found]
    if problems:
        sys.exit("\n".join(problems))
    print("compose: every command, port and variable resolves")


if __name__ == "__main__":
    main()
