"""Rules of the compose check: each planted mistake is found, with the service's name."""

import copy
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from deploy import check_compose, compose

COMMANDS = {
    ("payment_service", ("serve",)),
    ("payment_service", ("migrate",)),
    ("payment_service", ("relay",)),
    ("event_gateway", ("serve",)),
    ("event_gateway", ("migrate",)),
    ("provider_mock", ()),
    ("provider_stripe", ()),
    ("subscribers.audit_log", ()),
    ("subscribers.audit_log", ("run",)),
    ("subscribers.email_notifier", ()),
}
Plant = Callable[[dict[str, Any]], object]


def problems(content: dict[str, Any]) -> list[str]:
    """Checks a merged compose file against the real settings and known commands."""
    return check_compose.check(content, lambda module, rest: (module, rest) in COMMANDS)


@functools.cache
def shipped(variant: str = "docker-compose.yml") -> dict[str, Any]:
    """Reads the project's own files once; parsing is the slow part."""
    return check_compose.load(variant)


def planted(plant: Plant, variant: str = "docker-compose.yml") -> list[str]:
    """Returns the problems of the project's own files after one change to their services."""
    content = copy.deepcopy(shipped(variant))
    plant(content["services"])
    return problems(content)


@pytest.mark.parametrize("variant", list(check_compose.VARIANTS))
def test_shipped_files_resolve(variant: str) -> None:
    """The project's own compose files name nothing that does not exist."""
    assert problems(shipped(variant)) == []


def test_override_leaves_no_database_server() -> None:
    """The embedded default starts three processes, on SQLite, and waits for no database."""
    services = shipped("docker-compose.embedded.yml")["services"]

    started = {name for name, service in services.items() if "profiles" not in service}
    assert started == {"payment_service", "event_gateway", "provider_mock"}
    for name in started:
        assert not services[name].get("depends_on")
        assert "postgres" not in str(services[name].get("environment"))


def test_every_process_keeps_grpc_quiet_and_lets_an_operator_ask_for_more() -> None:
    """Each has the default, as a variable that the operator's own value replaces."""
    text = check_compose.BASE.read_text(encoding="utf-8")

    assert text.count("${GRPC_VERBOSITY:-ERROR}") == 1
    for name, service in shipped()["services"].items():
        if "build" in service:
            assert service["environment"]["GRPC_VERBOSITY"] == "ERROR", name


@pytest.mark.parametrize(
    ("plant", "text"),
    [
        (
            lambda s: s["payment_service"].update(command=["payment_service", "server"]),
            "payment_service: `python -m payment_service server` is not a command",
        ),
        (
            lambda s: s["payment_service"].update(command="payment_service serve"),
            "payment_service: command 'payment_service serve' has to be a list",
        ),
        (
            lambda s: s["provider_mock"]["build"]["args"].update(EXTRA="provider-mocks"),
            "provider_mock: build argument EXTRA: pyproject.toml has no extra 'provider-mocks'",
        ),
        (
            lambda s: s["provider_mock"]["build"]["args"].update(EXTRA="event-gateway"),
            "provider_mock: runs provider_mock, but its image is built for 'event-gateway'",
        ),
        (
            lambda s: s["event_gateway"]["environment"].update(EVENT_GATEWAY_KEY_ENDPOINT="a:1"),
            "EVENT_GATEWAY_KEY_ENDPOINT: unknown variable",
        ),
        (
            lambda s: s["event_gateway"]["environment"].update(PAYMENT_SERVICE_HOST="0.0.0.0"),
            "event_gateway: PAYMENT_SERVICE_HOST is read by no setting of event_gateway",
        ),
        (
            lambda s: s["event_gateway"]["environment"].update(EVENT_GATEWAY_GRPC_PORT="none"),
            "event_gateway: EVENT_GATEWAY_GRPC_PORT: ",
        ),
        (
            lambda s: s["event_gateway"].update(environment=["EVENT_GATEWAY_HOST=0.0.0.0"]),
            "event_gateway: environment has to be a mapping",
        ),
        (
            lambda s: s["event_gateway"]["environment"].pop("EVENT_GATEWAY_HOST"),
            "event_gateway: listens on 127.0.0.1, which no other container reaches",
        ),
        (
            lambda s: s["event_gateway"].update(ports=["50052:50053"]),
            "event_gateway: port 50052:50053 is published, but the process listens on 50052",
        ),
        (
            lambda s: s["event_gateway"].update(ports=["gateway"]),
            "event_gateway: port 'gateway' can't be read",
        ),
        (
            lambda s: s["payment_migrate"].update(ports=["50051:50051"]),
            "payment_migrate: port 50051:50051 is published",
        ),
        (
            lambda s: s["provider_mock"]["healthcheck"].update(
                test=["CMD", "curl", "http://127.0.0.1:8080/readyz"]
            ),
            "provider_mock: healthcheck asks http://127.0.0.1:8080/readyz, but HTTP is on 8082",
        ),
        (
            lambda s: s["provider_mock"].pop("healthcheck"),
            "provider_mock: has no healthcheck",
        ),
        (
            lambda s: s["payment_service"]["environment"].update(
                PAYMENT_SERVICE_GATEWAY_ENDPOINT="event_gateway:8081"
            ),
            "names event_gateway:8081, its gRPC port is 50052",
        ),
        (
            lambda s: s["payment_service"]["environment"].update(
                PAYMENT_SERVICE_PROVIDERS='{"mock": "mock:50061"}'
            ),
            "names mock:50061, but there is no service mock",
        ),
        (
            lambda s: s["payment_migrate"]["environment"].update(
                PAYMENT_SERVICE_DATABASE_URL="postgresql://payhub@postgres:5433/payments"
            ),
            "names postgres:5433, which does not listen there",
        ),
        (
            lambda s: s["event_gateway"].update(
                depends_on={"events_migrate": {"condition": "service_healthy"}}
            ),
            "event_gateway: depends on events_migrate, which is not a service",
        ),
        (
            lambda s: s["postgres"].pop("healthcheck"),
            "payment_migrate: waits until postgres is healthy, but that has no healthcheck",
        ),
        (
            lambda s: s["event_gateway"].update(
                depends_on={"payment_service": {"condition": "service_completed_successfully"}}
            ),
            "event_gateway: waits until payment_service has ended, but that goes on serving",
        ),
        (
            lambda s: s["payment_migrate"].update(command=["payment_service", "relay"]),
            "payment_migrate: has no healthcheck",
        ),
        (
            lambda s: s["payment_service"].update(stop_grace_period="40s"),
            "payment_service: stop_grace_period 40 s cuts off a drain of 60 s",
        ),
        (
            lambda s: s["payment_service"].update(volumes=["payment:/srv/payhub/var"]),
            "payment_service: mounts payment, which is not among the volumes",
        ),
        (
            lambda s: s["payment_service"].update(volumes=["payments:/srv/payhub/data:rw"]),
            "payment_service: can't write to /srv/payhub/data",
        ),
    ],
)
def test_a_mistake_is_found(plant: Plant, text: str) -> None:
    """A wrong command, image, variable, port, address or dependency is named."""
    found = planted(plant)

    assert any(text in problem for problem in found), found


@pytest.mark.parametrize(
    ("plant", "text"),
    [
        (
            lambda s: s["audit_log"].update(command=["subscribers.audit_log"]),
            "audit_log: `python -m subscribers.audit_log` is not a command",
        ),
        (
            lambda s: s["audit_log"]["build"]["args"].update(EXTRA="email-notifier"),
            "audit_log: runs subscribers.audit_log, but its image is built for 'email-notifier'",
        ),
        (
            lambda s: s["audit_log"]["environment"].pop("AUDIT_LOG_ANCHOR"),
            "audit_log: AUDIT_LOG_ANCHOR: required",
        ),
        (
            lambda s: s["audit_log"]["environment"].pop("AUDIT_LOG_HOST"),
            "audit_log: listens on 127.0.0.1",
        ),
        (
            lambda s: s["audit_log"].pop("healthcheck"),
            "audit_log: has no healthcheck",
        ),
        (
            lambda s: s["audit_log"]["environment"].update(AUDIT_LOG_EVENTS_TARGET="gateway:50052"),
            "audit_log: AUDIT_LOG_EVENTS_TARGET names gateway:50052, but there is no service",
        ),
        (
            lambda s: s["email_notifier"]["environment"].update(EMAIL_NOTIFIER_SMTP_TLS="start"),
            "email_notifier: EMAIL_NOTIFIER_SMTP_TLS: ",
        ),
        (
            lambda s: s["email_notifier"]["environment"].update(AUDIT_LOG_KEY="k"),
            "email_notifier: AUDIT_LOG_KEY is read by no setting of subscribers.email_notifier",
        ),
        (
            lambda s: s["email_notifier"].update(stop_grace_period="60s"),
            "email_notifier: stop_grace_period 60 s cuts off a drain of 100 s",
        ),
    ],
)
def test_a_mistake_of_a_subscriber_is_found(plant: Plant, text: str) -> None:
    """Subscribers are held to the same rules; the audit log serves only with its command."""
    found = planted(plant, "docker-compose.subscribers.yml")

    assert any(text in problem for problem in found), found


def test_the_audit_log_and_its_anchor_are_on_different_volumes() -> None:
    """Whoever gets at the volume of the log does not have the anchor with it."""
    service = shipped("docker-compose.subscribers.yml")["services"]["audit_log"]
    mounts = {folder: name for name, _, folder in (v.partition(":") for v in service["volumes"])}

    def volume(variable: str) -> str:
        path = pathlib.PurePosixPath("/srv/payhub") / service["environment"][variable]
        return str(mounts[str(path.parent)])

    assert volume("AUDIT_LOG_LOG") != volume("AUDIT_LOG_ANCHOR")


def test_what_only_an_operator_knows_is_asked_for() -> None:
    """Each stand-in is of a variable without which the files can't be started, and which says
    what is missing.
    """
    paths = check_compose.VARIANTS["docker-compose.subscribers.yml"]
    for name in check_compose.STAND_INS:
        others = {key: value for key, value in check_compose.STAND_INS.items() if key != name}
        with pytest.raises(compose.ComposeError, match=rf"required variable {name} .*: \w"):
            compose.load(paths, others)


def test_a_variable_is_replaced_as_compose_does(tmp_path: pathlib.Path) -> None:
    """One with a default has it; one that is asked for needs a value, and an empty one is none;
    a value does not replace a default, nor stand for a variable that nobody asks for.
    """
    file = tmp_path / "compose.yml"
    file.write_text("a: ['${A:?no A}', '${A?no A}', '${A:-x-y}', '${B-}', '$$A', '$5']")
    given = {"A": "1", "B": "2"}

    assert compose.load([file], given) == {"a": ["1", "1", "x-y", "", "$A", "$5"]}
    for values in ({}, {"A": ""}):
        with pytest.raises(compose.ComposeError, match=r"required variable A .*: no A$"):
            compose.load([file], values)
    for text in ("$A", "${A}"):
        file.write_text(f"a: '{text}'")
        with pytest.raises(compose.ComposeError, match=r"\$\{A\} has no default"):
            compose.load([file], given)


@pytest.mark.parametrize("text", ["${A:+b}", "${A:-${B:-c}}", "${A/b/c}", "${}", '${A:-{"b": 1}}'])
def test_what_is_not_understood_is_refused(tmp_path: pathlib.Path, text: str) -> None:
    """Forms that Compose may know but this reader does not are never taken as they stand."""
    file = tmp_path / "compose.yml"
    file.write_text(f"a: '{text}'")

    with pytest.raises(compose.ComposeError, match="can't be read"):
        compose.load([file], {"A": "1"})


def test_a_variable_without_default_is_refused(tmp_path: pathlib.Path) -> None:
    """The files start without any variable set, so each one needs a default."""
    file = tmp_path / "compose.yml"
    file.write_text("services: {a: {image: '${TAG}', labels: ['$$5', '${B:-c}']}}")

    with pytest.raises(compose.ComposeError, match=r"compose.yml.services.a.image: \$\{TAG\}"):
        compose.load([file])


@pytest.mark.parametrize("content", ["[]", "a: [", None])
def test_an_unreadable_file_is_refused(tmp_path: pathlib.Path, content: str | None) -> None:
    """A file that is missing or no YAML mapping is named."""
    file = tmp_path / "compose.yml"
    if content is not None:
        file.write_text(content)

    with pytest.raises(compose.ComposeError, match=r"^compose.yml: "):
        compose.load([file])


def test_an_override_is_merged_as_compose_does(tmp_path: pathlib.Path) -> None:
    """Mappings are merged, ports added, other lists replaced, `!reset` removes."""
    below, above = tmp_path / "a.yml", tmp_path / "b.yml"
    below.write_text("s: {env: {A: 1, B: 2}, ports: ['1:1'], command: [a], depends_on: {x: 1}}")
    above.write_text("s: {env: {B: 3}, ports: ['2:2'], command: [b], depends_on: !reset {}}")

    assert compose.load([below, above]) == {
        "s": {"env": {"A": 1, "B": 3}, "ports": ["1:1", "2:2"], "command": ["b"]}
    }
