"""Waiting cancellations: what is told of them."""

import types
from typing import Any, cast

import grpc
import pytest

from payment_service.domain import commands, model
from payment_service.usecases import cancellations, context
from servicekit import errors
from tests import fake_clock
from tests.unit.payment_service import build

NOBODY = cast(Any, None)


def test_a_wish_that_failed_while_the_clock_was_ahead_is_due() -> None:
    """It waits as long as was said after what came of it, but for no time that only a wrong clock
    can have noted.
    """
    schedule = context.Schedule(pending_first_s=10.0)
    time = fake_clock.FakeClock(build.NOW_US)
    waiting = cancellations.Cancellations(
        cast(Any, types.SimpleNamespace(schedule=schedule, clock=time)), NOBODY, NOBODY, NOBODY
    )
    cause = model.Cause(actor=commands.CANCELER)
    tried = build.payment(
        operations=(build.operation(model.Kind.VOID, cause=cause, updated_us=build.NOW_US),)
    )
    assert not waiting._is_due(tried)
    time.advance(10)
    assert waiting._is_due(tried)
    time.step(-3600)
    assert waiting._is_due(tried)


def test_why_a_cancellation_waits_is_told_however_many_have_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once for each reason, and for the lifetime of the process, not for the first so many."""
    told: list[str] = []
    monkeypatch.setattr(cancellations, "_TOLD_MAX", 2)
    monkeypatch.setattr(
        cancellations._log, "warning", lambda _, payment_id, **__: told.append(payment_id)
    )
    waiting = cancellations.Cancellations(NOBODY, NOBODY, NOBODY, NOBODY)
    refusal = errors.RpcError(grpc.StatusCode.FAILED_PRECONDITION, "KILLED", "not now")
    for payment_id in ("one", "two", "two", "three", "three"):
        waiting._tell_once(payment_id, refusal)
    assert told == ["one", "two", "three"]
