"""Waiting cancellations: what is told of them."""

from typing import Any, cast

import grpc
import pytest

from payment_service.usecases import cancellations
from servicekit import errors

NOBODY = cast(Any, None)


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
