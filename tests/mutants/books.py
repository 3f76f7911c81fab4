"""Mutants of the ledger: amounts, outcomes and ceilings (rules 33, 37, 39 to 44)."""

import asyncio
from dataclasses import replace as changed
from typing import Any

from payhub.provider.v1 import operation_pb2

from provider_mock import answers, books, provider
from provider_sdk import errors, plugin_servicer
from tests.mutants import registry

State = operation_pb2.Operation


@registry.mutant("33", control=("39",))
def echoes_major_units() -> None:
    """Yen are told with two decimals."""

    def make(operation: Any) -> Any:
        def told(row: Any, *, action_url: str) -> Any:
            answer = operation(row, action_url=action_url)
            if answer.amount.currency_code == "JPY":
                answer.amount.amount_minor *= 100
            return answer

        return told

    registry.replace(answers, "operation", make)


@registry.mutant("33", control=("39",))
def counts_in_floating_point() -> None:
    """An amount goes through a floating-point number on its way."""

    def make(operation: Any) -> Any:
        def told(row: Any, *, action_url: str) -> Any:
            answer = operation(row, action_url=action_url)
            answer.amount.amount_minor = int(float(answer.amount.amount_minor))
            return answer

        return told

    registry.replace(answers, "operation", make)


@registry.mutant("37")
def deduplicates_by_parameters() -> None:
    """Two authorizations with equal amount and instrument are one payment."""
    seen: dict[tuple[Any, ...], Any] = {}

    def make(authorize: Any) -> Any:
        async def once(self: Any, request: Any, call: Any) -> Any:
            key = (
                call.binding.binding_id,
                request.amount.amount_minor,
                request.amount.currency_code,
                request.payment_method,
                request.capture_method,
            )
            if key not in seen:
                seen[key] = await authorize(self, request, call)
            answer = operation_pb2.Operation()
            answer.CopyFrom(seen[key])
            answer.operation_id = call.operation_id
            return answer

        return once

    registry.replace(provider.MockProvider, "authorize", make)


@registry.mutant("39")
def declines_with_a_status() -> None:
    """A decline is FAILED_PRECONDITION instead of a result."""

    def make(authorize: Any) -> Any:
        async def refuse(self: Any, request: Any, call: Any) -> Any:
            answer = await authorize(self, request, call)
            if answer.state == State.STATE_DECLINED:
                raise errors.StateConflict("declined")
            return answer

        return refuse

    registry.replace(provider.MockProvider, "authorize", make)


@registry.mutant("39")
def declines_without_a_reason() -> None:
    """A decline says nothing about its cause."""

    def make(operation: Any) -> Any:
        def told(row: Any, *, action_url: str) -> Any:
            answer = operation(row, action_url=action_url)
            answer.decline.ClearField("reason")
            return answer

        return told

    registry.replace(answers, "operation", make)


@registry.mutant("40")
def voids_change_the_authorization() -> None:
    """An authorization that was carried out becomes VOIDED when its payment is voided."""
    voided: set[str] = set()

    def make_void(void: Any) -> Any:
        async def remember(self: Any, request: Any, call: Any) -> Any:
            voided.add(request.target_operation_id)
            return await void(self, request, call)

        return remember

    def make_look_up(get_operation: Any) -> Any:
        async def found(self: Any, operation_id: str, binding: Any, **rest: Any) -> Any:
            answer = await get_operation(self, operation_id, binding, **rest)
            if operation_id in voided:
                answer.state = State.STATE_VOIDED
            return answer

        return found

    registry.replace(provider.MockProvider, "void", make_void)
    registry.replace(provider.MockProvider, "get_operation", make_look_up)


@registry.mutant("41a")
def refunds_too_much() -> None:
    """A refund is booked whatever was captured."""

    def make(reserve_refund: Any) -> Any:
        def reserve(sums: books.Sums, amount_minor: int) -> books.Sums:
            beyond_minor = max(0, amount_minor - sums.refundable_minor)
            raised = changed(
                sums,
                authorized_minor=sums.authorized_minor + beyond_minor,
                captured_minor=sums.captured_minor + beyond_minor,
            )
            reserved: books.Sums = reserve_refund(raised, amount_minor)
            return reserved

        return reserve

    registry.replace(books, "reserve_refund", make)


@registry.mutant("41d")
def refunds_what_others_are_refunding() -> None:
    """A refund does not see another one that arrived at the same time."""
    under_way = 0

    def make_refund(refund: Any) -> Any:
        async def overlapping(self: Any, request: Any, call: Any) -> Any:
            nonlocal under_way
            under_way += 1
            try:
                # Long enough for those that arrive together to meet.
                await asyncio.sleep(0.2)
                return await refund(self, request, call)
            finally:
                under_way -= 1

        return overlapping

    def make_reserve(reserve_refund: Any) -> Any:
        def reserve(sums: books.Sums, amount_minor: int) -> books.Sums:
            beyond_minor = max(0, amount_minor - sums.refundable_minor)
            if under_way > 1:
                sums = changed(
                    sums,
                    authorized_minor=sums.authorized_minor + beyond_minor,
                    captured_minor=sums.captured_minor + beyond_minor,
                )
            reserved: books.Sums = reserve_refund(sums, amount_minor)
            return reserved

        return reserve

    registry.replace(provider.MockProvider, "refund", make_refund)
    registry.replace(books, "reserve_refund", make_reserve)


@registry.mutant("41b")
def captures_too_much() -> None:
    """A capture is booked whatever was authorized."""

    def make(reserve_capture: Any) -> Any:
        def reserve(sums: books.Sums, amount_minor: int) -> books.Sums:
            beyond_minor = max(0, amount_minor - sums.capturable_minor)
            raised = changed(
                sums, authorized_minor=sums.authorized_minor + beyond_minor, closed=False
            )
            reserved: books.Sums = reserve_capture(raised, amount_minor)
            return reserved

        return reserve

    registry.replace(books, "reserve_capture", make)


@registry.mutant("41c")
def captures_after_a_void() -> None:
    """A void is forgotten by the capture after it."""

    def make(reserve_capture: Any) -> Any:
        def reserve(sums: books.Sums, amount_minor: int) -> books.Sums:
            if not sums.captured_minor and sums.closed:
                sums = changed(sums, closed=False, released_minor=0)
            captured: books.Sums = reserve_capture(sums, amount_minor)
            return captured

        return reserve

    registry.replace(books, "reserve_capture", make)


@registry.mutant("42a")
def finals_leave_the_rest_open() -> None:
    """After a final capture the rest can still be captured."""

    def make(settle_capture: Any) -> Any:
        def settle(sums: books.Sums, amount_minor: int, *, final: bool) -> books.Sums:
            settled: books.Sums = settle_capture(sums, amount_minor, final=False)
            return settled

        return settle

    registry.replace(books, "settle_capture", make)


@registry.mutant("42b")
def takes_one_capture_only() -> None:
    """A second capture is refused, though the capability promises several."""

    def make(reserve_capture: Any) -> Any:
        def reserve(sums: books.Sums, amount_minor: int) -> books.Sums:
            if sums.captured_minor:
                raise errors.StateConflict("captured already")
            captured: books.Sums = reserve_capture(sums, amount_minor)
            return captured

        return reserve

    registry.replace(books, "reserve_capture", make)


@registry.mutant("42c")
def forgets_earlier_refunds() -> None:
    """Only the last refund counts."""

    def settle(sums: books.Sums, amount_minor: int) -> books.Sums:
        refunding_minor = sums.refunding_minor - amount_minor
        return changed(sums, refunding_minor=refunding_minor, refunded_minor=amount_minor)

    registry.replace(books, "settle_refund", lambda _: settle)


@registry.mutant("43")
def refuses_a_second_void() -> None:
    """A void of what is voided is a conflict."""

    def make(reserve_void: Any) -> Any:
        def reserve(sums: books.Sums) -> books.Sums:
            if sums.released_minor:
                raise errors.StateConflict("voided already")
            reserved: books.Sums = reserve_void(sums)
            return reserved

        return reserve

    registry.replace(books, "reserve_void", make)


@registry.mutant("44")
def always_asks_the_payer() -> None:
    """A customer action is asked for whatever core offered."""

    def make(handshake: Any) -> Any:
        async def offered(self: Any, request: Any, context: Any) -> Any:
            answer = await handshake(self, request, context)
            self._host.customer_action_offered = True
            return answer

        return offered

    registry.replace(plugin_servicer.PluginServicer, "Handshake", make)
