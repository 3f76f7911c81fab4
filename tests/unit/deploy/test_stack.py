"""Rules of the stack runner that hold without starting a service."""

import json
import pathlib
import time

import pytest

from deploy import stack


def a_stack(tmp_path: pathlib.Path, **over: object) -> stack.Stack:
    """Makes a stack on the default ports, not started."""
    return stack.Stack(tmp_path, ports=stack.DEFAULT_PORTS, **over)  # type: ignore[arg-type]


def test_free_ports_are_distinct() -> None:
    """No two listeners of one stack share a port."""
    ports = [p for pair in stack.free_ports().values() for p in (pair.grpc, pair.http)]

    assert len(set(ports)) == 2 * len(stack.KNOWN)


def test_services_are_told_each_others_addresses(tmp_path: pathlib.Path) -> None:
    """Start order does not matter because every address is in the environment."""
    running = a_stack(tmp_path)

    payments = running.environment(stack.PAYMENTS)
    assert json.loads(payments["PAYMENT_SERVICE_PROVIDERS"]) == {"mock": "127.0.0.1:50061"}
    assert payments["PAYMENT_SERVICE_GATEWAY_ENDPOINT"] == "127.0.0.1:50052"
    gateway = running.environment(stack.GATEWAY)
    assert gateway["EVENT_GATEWAY_KEYS_ENDPOINT"] == "127.0.0.1:50051"


def test_stripe_runs_only_where_it_is_named(tmp_path: pathlib.Path) -> None:
    """Named beside the others it is one more provider; named instead of the simulated one it
    is the default.
    """
    both = a_stack(tmp_path, names=stack.KNOWN).environment(stack.PAYMENTS)
    assert json.loads(both["PAYMENT_SERVICE_PROVIDERS"]) == {
        "mock": "127.0.0.1:50061",
        "stripe": "127.0.0.1:50062",
    }
    assert both["PAYMENT_SERVICE_DEFAULT_PROVIDER"] == "mock"
    alone = a_stack(tmp_path, names=(stack.PAYMENTS, stack.STRIPE))
    told = alone.environment(stack.PAYMENTS)
    assert json.loads(told["PAYMENT_SERVICE_PROVIDERS"]) == {"stripe": "127.0.0.1:50062"}
    assert told["PAYMENT_SERVICE_DEFAULT_PROVIDER"] == "stripe"
    assert alone.environment(stack.STRIPE)["PROVIDER_STRIPE_GRPC_PORT"] == "50062"


def test_callers_settings_are_left_out(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack is not changed by Payhub settings of the shell it was started from."""
    monkeypatch.setenv("PAYMENT_SERVICE_PROVIDER_TIMEOUT_S", "7")

    assert "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S" not in a_stack(tmp_path).environment(stack.PAYMENTS)
    inherited = a_stack(tmp_path, inherit=True).environment(stack.PAYMENTS)
    assert inherited["PAYMENT_SERVICE_PROVIDER_TIMEOUT_S"] == "7"


def test_settings_that_are_passed_on_win(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database or provider of the caller's environment is used where settings are passed on,
    and no default provider goes with others than the stack's own.
    """
    providers = '{"acme": "127.0.0.1:50099"}'
    monkeypatch.setenv("PAYMENT_SERVICE_DATABASE_URL", "postgresql://db/payments")
    monkeypatch.setenv("PAYMENT_SERVICE_PROVIDERS", providers)
    monkeypatch.setenv("EVENT_GATEWAY_DATABASE_URL", "")

    told = a_stack(tmp_path, inherit=True).environment(stack.PAYMENTS)
    assert told["PAYMENT_SERVICE_DATABASE_URL"] == "postgresql://db/payments"
    assert told["PAYMENT_SERVICE_PROVIDERS"] == providers
    assert "PAYMENT_SERVICE_DEFAULT_PROVIDER" not in told
    assert told["PAYMENT_SERVICE_DEV_KEY_PATH"] == str(tmp_path.resolve() / "dev.key")
    gateway = a_stack(tmp_path, inherit=True).environment(stack.GATEWAY)
    assert gateway["EVENT_GATEWAY_DATABASE_URL"].startswith("sqlite:")
    alone = a_stack(tmp_path).environment(stack.PAYMENTS)
    assert alone["PAYMENT_SERVICE_DATABASE_URL"].startswith("sqlite:")


def test_every_database_goes_with_keys_for_its_secrets(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PostgreSQL too, where services make none for themselves."""
    for process, prefix in ((stack.PAYMENTS, "PAYMENT_SERVICE"), (stack.GATEWAY, "EVENT_GATEWAY")):
        monkeypatch.setenv(f"{prefix}_DATABASE_URL", "postgresql://db/x")
        told = a_stack(tmp_path, inherit=True).environment(process)
        keys = pathlib.Path(told[f"{prefix}_ENCRYPTION_KEY_PATH"])
        assert keys.parent == tmp_path.resolve()


def test_grpc_writes_errors_only_unless_told_otherwise(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes log JSON; whoever asks gRPC's core for more gets it."""
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    assert a_stack(tmp_path).environment(stack.PAYMENTS)["GRPC_VERBOSITY"] == "ERROR"

    monkeypatch.setenv("GRPC_VERBOSITY", "INFO")
    assert a_stack(tmp_path).environment(stack.PAYMENTS)["GRPC_VERBOSITY"] == "INFO"
    given = a_stack(tmp_path, env={"GRPC_VERBOSITY": "DEBUG"})
    assert given.environment(stack.PAYMENTS)["GRPC_VERBOSITY"] == "DEBUG"


def test_given_settings_win(tmp_path: pathlib.Path) -> None:
    """Settings and database URLs given by the caller override the stack's own."""
    running = a_stack(
        tmp_path,
        env={"EVENT_GATEWAY_LOG_LEVEL": "debug"},
        databases={stack.PAYMENTS: "postgresql://localhost/payhub"},
    )

    assert running.environment(stack.GATEWAY)["EVENT_GATEWAY_LOG_LEVEL"] == "debug"
    url = running.environment(stack.PAYMENTS)["PAYMENT_SERVICE_DATABASE_URL"]
    assert url == "postgresql://localhost/payhub"


def test_stopping_twice_is_harmless(tmp_path: pathlib.Path) -> None:
    """Stopping a stack that does not run does nothing."""
    before = time.monotonic()

    a_stack(tmp_path).stop()

    assert time.monotonic() - before < 10
