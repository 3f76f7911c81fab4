"""When sending a doubt again can end it, and can't do anything twice."""

import types
from dataclasses import replace
from typing import Any

import pytest

from payment_service.domain import model, outcomes
from payment_service.usecases import resending
from tests.unit.payment_service import build

FENCE_US = build.NOW_US + 10_000_000
LATER_US = build.NOW_US + 60_000_000
DOUBT = build.operation(
    model.Kind.SALE,
    state=model.OperationState.IN_DOUBT,
    not_after_us=FENCE_US,
    request=b"as it was sent",
)
CONTRADICTION = model.Failure(kind=model.FailureKind.UNSPECIFIED, reason="AMOUNT_MISMATCH")
UNKNOWN = build.report(outcomes.Outcome.UNKNOWN, failure=None)


def provider(*, finds: bool = False, awaits: bool = False, repeatable_s: float = 3600.0) -> Any:
    """A provider, by what the version that was sent the doubt declared and whether it is there."""
    return types.SimpleNamespace(
        finds=lambda _: finds, awaits=lambda _: awaits, repeatable_s=lambda _: repeatable_s
    )


def test_a_doubt_that_no_look_up_ends_is_sent_again_after_its_fence() -> None:
    """Before it the first attempt may be on its way, and after the window the id is forgotten."""
    assert not resending.may_help(provider(), DOUBT, UNKNOWN, FENCE_US)
    assert resending.may_help(provider(), DOUBT, UNKNOWN, FENCE_US + 1)
    end_us = build.NOW_US + 3_600_000_000
    assert resending.may_help(provider(), DOUBT, UNKNOWN, end_us - 1)
    assert not resending.may_help(provider(), DOUBT, UNKNOWN, end_us)


@pytest.mark.parametrize(
    ("operation", "report"),
    [
        (replace(DOUBT, state=model.OperationState.PENDING), UNKNOWN),
        (replace(DOUBT, failure=CONTRADICTION), UNKNOWN),
        (replace(DOUBT, request=b""), UNKNOWN),
        (DOUBT, replace(UNKNOWN, outcome=outcomes.Outcome.PENDING)),
        (DOUBT, replace(UNKNOWN, needs_operator=True)),
    ],
    ids=["no doubt", "contradicted", "request unknown", "known", "for an operator"],
)
def test_what_is_known_or_an_operators_is_not_sent_again(
    operation: model.Operation, report: outcomes.Report
) -> None:
    """A provider that contradicts itself is not asked for the same money once more."""
    assert not resending.may_help(provider(), operation, report, LATER_US)


def test_what_a_look_up_proves_is_looked_up() -> None:
    """Nothing is sent where asking tells as much."""
    assert not resending.may_help(provider(finds=True), DOUBT, UNKNOWN, LATER_US)


def test_a_version_that_may_return_is_waited_for() -> None:
    """Five minutes, or half of what its provider remembers an id for."""
    for repeatable_s, waits_s in ((3600.0, resending.RETURN_S), (100.0, 50.0)):
        away = provider(awaits=True, repeatable_s=repeatable_s)
        until_us = build.NOW_US + round(waits_s * 1e6)
        assert not resending.may_help(away, DOUBT, UNKNOWN, until_us - 1)
        assert resending.may_help(away, DOUBT, UNKNOWN, until_us)
