"""Mutants of one operation, one effect (rules 34 to 36 and 38)."""

import itertools
import os
from typing import Any

from provider_mock import answers, ledger, upstream
from provider_sdk import http_client, operations
from servicekit import storage
from tests.mutants import registry

_REFUND_AGAIN = storage.Statement(
    """
    update payments set refunded_minor = min(captured_minor, refunded_minor + :amount_minor)
    where object_id = :object_id
    """
)


@registry.mutant("34a", control=("39",))
def answers_repeats_differently() -> None:
    """Every answer names another effect."""
    numbers = itertools.count()

    def make(operation: Any) -> Any:
        def told(row: Any, *, action_url: str) -> Any:
            answer = operation(row, action_url=action_url)
            answer.provider_operation_id += f"_{next(numbers)}"
            return answer

        return told

    registry.replace(answers, "operation", make)


def _books_repeats() -> None:
    """A repeated refund gets the first one's answer and is booked once more."""

    def make(replay: Any) -> Any:
        def again(conn: Any, entry: Any) -> Any:
            recorded = replay(conn, entry)
            if recorded.row.kind == "REFUND":
                conn.run(_REFUND_AGAIN, recorded.row._asdict())
            return recorded

        return again

    registry.replace(ledger, "replay", make)


class _Forgetful(dict[str, Any]):
    """Flights nobody can join."""

    def get(self, key: Any, default: Any = None) -> Any:
        return None

    def __delitem__(self, key: str) -> None:
        self.pop(key, None)


def _flies_alone() -> None:
    """Duplicates of an operation in progress do not wait for it."""

    def make(initialize: Any) -> Any:
        def alone(self: Any, host: Any) -> None:
            initialize(self, host)
            self._flights = _Forgetful()

        return alone

    registry.replace(operations.Operations, "__init__", make)


@registry.mutant("34a")
def books_repeats_again() -> None:
    """A repeated refund gets the first one's answer and is booked once more."""
    _books_repeats()


@registry.mutant("35a")
def books_duplicates_at_once() -> None:
    """Refunds that arrive together are all booked, with equal answers."""
    _flies_alone()
    _books_repeats()


def _fresh_keys() -> None:
    """Sends every attempt upstream under a key of its own."""
    numbers = itertools.count()
    right_key = upstream._key

    def make_send(send: Any) -> Any:
        async def sent(self: Any, method: str, path: str, **rest: Any) -> Any:
            rest["headers"] = [
                (name, f"{value}-{next(numbers)}" if name == "idempotency-key" else value)
                for name, value in rest.get("headers", ())
            ]
            return await send(self, method, path, **rest)

        return sent

    def make_operation(operation: Any) -> Any:
        def read(response: http_client.Response, operation_id: str) -> Any:
            key = right_key(operation_id)
            sent_key = upstream._parsed(response)["key"]
            body = response.body.replace(sent_key.encode(), key.encode())
            forged = http_client.Response(
                status=response.status, headers=response.headers, body=body
            )
            return operation(forged, operation_id)

        return read

    registry.replace(http_client.Client, "send", make_send)
    registry.replace(upstream, "_operation", make_operation)


@registry.mutant("34b", "38", control=("54",))
def sends_fresh_keys() -> None:
    """Every attempt goes upstream under a key of its own."""
    _fresh_keys()


@registry.mutant("34d", "47")
def derives_other_keys_in_every_version() -> None:
    """What the version before has sent is not known upstream to this one."""
    version = os.environ.get("PROVIDER_MOCK_VERSION", "")

    def make(key: Any) -> Any:
        return lambda operation_id: f"{version}/{key(operation_id)}"

    registry.replace(upstream, "_key", make)


@registry.mutant("34d")
def tells_upstream_its_version() -> None:
    """A repeat of what the version before has sent is another request to what is upstream."""
    version = os.environ.get("PROVIDER_MOCK_VERSION", "")

    def make(operate: Any) -> Any:
        async def told(self: Any, call: Any, params: Any) -> Any:
            return await operate(self, call, {**params, "version": version})

        return told

    registry.replace(upstream.UpstreamMock, "_operate", make)


@registry.mutant("34c")
def sends_keys_of_this_process() -> None:
    """A new process sends upstream under other keys than the one before."""
    born = os.getpid()

    def make(key: Any) -> Any:
        def salted(operation_id: str) -> Any:
            return key(f"{operation_id}/{born}")

        return salted

    registry.replace(upstream, "_key", make)


@registry.mutant("35b", control=("54",))
def sends_duplicates_under_fresh_keys() -> None:
    """Duplicates go upstream together, each under a key of its own."""
    _flies_alone()
    _fresh_keys()


@registry.mutant("36")
def ignores_other_parameters() -> None:
    """A used operation id with other parameters gets the first one's answer."""
    registry.replace(ledger, "_mismatch", lambda _: lambda: None)
