"""Mutants of what must outlive a process (rules 47, 59 and 80)."""

from typing import Any

from provider_mock import upstream
from provider_sdk import errors, operations
from tests.mutants import registry


@registry.mutant("47")
def knows_only_its_own_payments() -> None:
    """A payment made through another process can't be refunded."""
    made: set[str] = set()

    def make_operate(operate: Any) -> Any:
        async def remember(self: Any, call: Any, params: Any) -> Any:
            if params["kind"] == "refund" and params["object"] not in made:
                raise errors.NotFound("no such payment")
            answer = await operate(self, call, params)
            made.add(answer.provider_object_id)
            return answer

        return remember

    registry.replace(upstream.UpstreamMock, "_operate", make_operate)


@registry.mutant("59a")
def forgets_what_it_sent() -> None:
    """A look-up finds only operations of this process."""
    sent: set[str] = set()

    def make_operate(operate: Any) -> Any:
        async def remember(self: Any, call: Any, params: Any) -> Any:
            sent.add(call.operation_id)
            return await operate(self, call, params)

        return remember

    def make_look_up(get_operation: Any) -> Any:
        async def found(self: Any, operation_id: str, binding: Any, **rest: Any) -> Any:
            if operation_id not in sent:
                raise errors.NotFound("no such operation")
            return await get_operation(self, operation_id, binding, **rest)

        return found

    registry.replace(upstream.UpstreamMock, "_operate", make_operate)
    registry.replace(upstream.UpstreamMock, "get_operation", make_look_up)


@registry.mutant("59c")
def denies_what_it_is_sending() -> None:
    """A look-up asks upstream alone, which has not carried it out yet."""

    def make(look_up: Any) -> Any:
        async def asked(self: Any, request: Any, context: Any) -> Any:
            try:
                return await look_up(self, request, context)
            except errors.InProgress as error:
                raise errors.NotFound("no such operation") from error

        return asked

    registry.replace(operations.Operations, "look_up", make)


@registry.mutant("59b")
def takes_silence_for_no() -> None:
    """A look-up that can't reach upstream is NOT_FOUND."""

    def make(get_operation: Any) -> Any:
        async def certain(self: Any, operation_id: str, binding: Any, **rest: Any) -> Any:
            try:
                return await get_operation(self, operation_id, binding, **rest)
            except errors.LookupInconclusive as error:
                raise errors.NotFound(error.message) from error

        return certain

    registry.replace(upstream.UpstreamMock, "get_operation", make)


@registry.mutant("80")
def remembers_first_answers() -> None:
    """A look-up tells what was answered first, for ever."""
    first: dict[str, Any] = {}

    def make_operate(operate: Any) -> Any:
        async def remember(self: Any, call: Any, params: Any) -> Any:
            answer = await operate(self, call, params)
            first[call.operation_id] = answer
            return answer

        return remember

    def make_look_up(get_operation: Any) -> Any:
        async def found(self: Any, operation_id: str, binding: Any, **rest: Any) -> Any:
            known = first.get(operation_id)
            return known or await get_operation(self, operation_id, binding, **rest)

        return found

    registry.replace(upstream.UpstreamMock, "_operate", make_operate)
    registry.replace(upstream.UpstreamMock, "get_operation", make_look_up)
