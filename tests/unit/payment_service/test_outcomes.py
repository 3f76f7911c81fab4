"""The table of (operation state x outcome), against one written by hand."""

from dataclasses import replace

import pytest

from payment_service.domain import model, outcomes
from tests.unit.payment_service import build, expected

O = outcomes.Outcome  # noqa: E741
S = model.OperationState

VERSION = 3


@pytest.mark.parametrize("reported", [VERSION, VERSION - 1, VERSION + 1, 0])
def test_each_report_is_judged_as_the_rules_say(reported: int) -> None:
    """Applied, repeat, stale or illegal: for every state, outcome and version."""
    for state in S:
        for outcome in O:
            operation = build.operation(model.Kind.SALE, state=state, version=VERSION)
            found = outcomes.judge(operation, build.report(outcome, reported))
            wanted = expected.judgement(state, outcome, old=reported != VERSION)
            assert found == wanted, f"{state.name} + {outcome.name}"


def test_no_report_leads_back_to_in_flight_or_out_of_an_end() -> None:
    """What is terminal stays, and nothing becomes unsent again."""
    for state in S:
        for outcome in O:
            operation = build.operation(model.Kind.SALE, state=state)
            verdict, after = outcomes.judge(operation, build.report(outcome))
            if verdict is outcomes.Verdict.APPLIED:
                assert operation.is_open
                assert after is not S.IN_FLIGHT
                assert after is not state
            else:
                assert after is state


def test_an_unknown_outcome_never_ends_an_operation() -> None:
    """Unknown is not failed: it leads to doubt or changes nothing."""
    for state in S:
        for version in (1, 2):
            operation = build.operation(model.Kind.SALE, state=state, version=2)
            _, after = outcomes.judge(operation, build.report(O.UNKNOWN, version))
            assert after in (state, S.IN_DOUBT)


def test_not_sent_counts_only_before_the_provider_was_seen_to_have_it() -> None:
    """Once a provider has said pending, nothing can make the operation unsent."""
    believed = {
        state
        for state in S
        if outcomes.judge(build.operation(model.Kind.SALE, state=state), build.report(O.NOT_SENT))[
            0
        ]
        is outcomes.Verdict.APPLIED
    }
    assert believed == {S.IN_FLIGHT, S.IN_DOUBT}


@pytest.mark.parametrize("state", S)
def test_what_contradicts_the_question_is_known_to_operators(state: model.OperationState) -> None:
    """Booked otherwise than asked: whatever was open is in doubt, and a doubt says why, once."""
    operation = build.operation(model.Kind.SALE, state=state, version=VERSION)
    wrong = build.report(O.UNKNOWN, VERSION, needs_operator=True)
    verdict, after = outcomes.judge(operation, wrong)
    if not operation.is_open:
        assert (verdict, after) == (outcomes.Verdict.STALE, state)
        return
    assert (verdict, after) == (outcomes.Verdict.APPLIED, S.IN_DOUBT)
    old = build.report(O.UNKNOWN, VERSION - 1, needs_operator=True)
    assert outcomes.judge(operation, old) == (outcomes.Verdict.STALE, state)
    known = replace(operation, state=S.IN_DOUBT, failure=wrong.failure)
    assert outcomes.judge(known, wrong) == (outcomes.Verdict.REPEAT, S.IN_DOUBT)
