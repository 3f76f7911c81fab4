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
    ("event_gateway", ("serve",)),
    ("event_gateway", ("migrate",)),
    ("provider_mock", ()),
    ("provider_stripe", ()),
}
Plant = Callable[[dict[str, Any]], object]


def problems(content: dict[str, Any]) -> list[str]:
    """Checks a merged compose file against the real settings and known commands."""
    return check_compose.check(content, lambda module, rest: (module, rest) in COMMANDS)


@functools.cache
def shipped() -> dict[str, Any]:
    """Reads the project's own file once; parsing is the slow part."""
    return compose.load(check_compose.VARIANTS["docker-compose.yml"])


def planted(plant: Plant) -> list[str]:
    """Returns the problems of the project's own file after one change to its services."""
    content = copy.deepcopy(shipped())
    plant(content["services"])
    return problems(content)


@pytest.mark.parametrize("variant", list(check_compose.VARIANTS))
def test_shipped_files_resolve(variant: str) -> None:
    """The project's own compose files name nothing that does not exist."""
    assert problems(compose.load(check_compose.VARIANTS[variant])) == []


def test_override_leaves_no_database_server() -> None:
    """The embedded default starts three processes, on SQLite, and waits for no database."""
    services = compose.load(check_compose.VARIANTS["docker-compose.embedded.yml"])["services"]

    started = {name for name, service in services.items() if "profiles" not in service}
    assert started == set(check_compose.SETTINGS) - {"provider_stripe"}
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
            lambda s: s["payment_service"].update(stop_grace_period="10s"),
            "payment_service: stop_grace_period 10 s cuts off a drain",
        ),
    ],
)
def test_a_mistake_is_found(plant: Plant, text: str) -> None:
    """A wrong command, image, variable, port, address or dependency is named."""
    found = planted(plant)

    assert any(text in problem for problem in found), found


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
