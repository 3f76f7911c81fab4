"""Mutants of what core mirrors (rules 74 to 78)."""

import dataclasses
import itertools
from typing import Any

from payhub.provider.v1 import operation_pb2

from provider_mock import bank, books, finding
from provider_mock.objects import told
from provider_sdk import calls, errors
from tests.mutants import registry


@registry.mutant("74")
def makes_objects_again() -> None:
    """A repeated operation makes its object once more."""
    counter = itertools.count()

    def make(operate: Any) -> Any:
        async def anew(self: Any, request: Any, call: Any, *rest: Any, **further: Any) -> Any:
            other = dataclasses.replace(call, operation_id=f"{call.operation_id}_{next(counter)}")
            answer = await operate(self, request, other, *rest, **further)
            answer.operation.operation_id = call.operation_id
            return answer

        return anew

    registry.replace(bank.Bank, "_operate", make)


@registry.mutant("75")
def forgets_whose_objects_are() -> None:
    """Objects are told without core's identifier."""

    def make(kept: Any) -> Any:
        def nameless(*rest: Any, **further: Any) -> Any:
            message = kept(*rest, **further)
            message.core_id = ""
            return message

        return nameless

    registry.replace(told, "kept", make)


@registry.mutant("75")
def looks_up_without_objects() -> None:
    """A look-up finds the operation and not what it made."""

    def make(_: Any) -> Any:
        async def bare(self: Any, operation_id: str, binding: Any, **rest: Any) -> Any:
            return await self.get_operation(operation_id, binding, timeout_s=rest["timeout_s"])

        return bare

    registry.replace(bank.Bank, "look_up", make)


@registry.mutant("76")
def has_nothing_badly() -> None:
    """A fetch of what there is not is a bad request."""

    def make(fetch_object: Any) -> Any:
        async def pedantic(self: Any, *rest: Any, **further: Any) -> Any:
            try:
                return await fetch_object(self, *rest, **further)
            except errors.NotFound as error:
                raise errors.InvalidRequest(error.message) from error

        return pedantic

    registry.replace(bank.Bank, "fetch_object", make)


@registry.mutant("76")
def shows_what_others_have() -> None:
    """A fetch finds payments of every binding."""

    def make(fetch: Any) -> Any:
        def anyone(conn: Any, kind: str, object_id: str, **rest: Any) -> Any:
            row = finding._payment(conn, object_id)
            if row is not None:
                rest["binding_id"] = row.binding_id
            return fetch(conn, kind, object_id, **rest)

        return anyone

    registry.replace(finding, "fetch", make)


@registry.mutant("77")
def says_nothing_of_the_payer() -> None:
    """An off-session payment that wants the payer is declined for no cause."""

    def make(authorize: Any) -> Any:
        async def mute(self: Any, request: Any, call: Any) -> Any:
            answer = await authorize(self, request, call)
            alone = request.off_session and not isinstance(answer, calls.Answer)
            if alone and answer.state == operation_pb2.Operation.STATE_DECLINED:
                answer.decline.reason = operation_pb2.DECLINE_REASON_OTHER
            return answer

        return mute

    registry.replace(bank.Bank, "authorize", make)


@registry.mutant("77")
def keeps_methods_in_silence() -> None:
    """A payment that keeps its method does not say which."""

    def make(authorize: Any) -> Any:
        async def silent(self: Any, request: Any, call: Any) -> Any:
            answer = await authorize(self, request, call)
            return answer.operation if isinstance(answer, calls.Answer) else answer

        return silent

    registry.replace(bank.Bank, "authorize", make)


@registry.mutant("78")
def raises_what_is_captured() -> None:
    """An authorization is raised whatever became of it."""
    registry.replace(books, "require_increment", lambda _: lambda sums, *amounts: sums)
