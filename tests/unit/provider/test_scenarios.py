"""The grammar of scenario tokens."""

import pytest

from provider_mock import scenarios

Kind = scenarios.Kind
OUTCOME_NAMES = sorted(scenarios.OUTCOMES)


@pytest.mark.parametrize("name", OUTCOME_NAMES)
def test_every_outcome_can_be_asked_for_with_and_without_its_kind(name: str) -> None:
    """`tok_x` and `tok_authorize.x` are the same."""
    plain = scenarios.of_token(f"tok_{name}")
    named = scenarios.of_token(f"tok_authorize.{name}")
    assert plain is not None
    assert named is not None
    expected = scenarios.OUTCOMES[name]
    assert plain.outcome(Kind.AUTHORIZE) == named.outcome(Kind.AUTHORIZE) == expected


def test_kinds_without_a_clause_are_approved() -> None:
    """A clause speaks of its own kind only."""
    scenario = scenarios.of_token("tok_decline+refund.not_sent")
    assert scenario is not None
    assert scenario.outcome(Kind.REFUND).fault is scenarios.Fault.NOT_SENT
    assert scenario.outcome(Kind.CAPTURE) == scenario.outcome(Kind.VOID) == scenarios.APPROVE
    assert scenario.outcome(Kind.AUTHORIZE).state == "DECLINED"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "tok_",
        "approve",
        "tok_Approve",
        "tok_approve ",
        "tok_approve+",
        "tok_approve+decline",
        "tok_approve+void.approve+void.approve",
        "tok_transfer.approve",
        "tok_capture.",
        "tok_capture.action_required",
        "tok_void.wrong_amount",
        "tok_approve\n",
        "tok_" + "+".join(["void.approve"] * 40),
    ],
)
def test_anything_else_is_unknown(token: str) -> None:
    """No near miss is taken for a scenario."""
    assert scenarios.of_token(token) is None


def test_a_force_covers_every_kind_it_fits() -> None:
    """A clause without a kind forces all; a named one only its own, and wins."""
    forced = scenarios.force("decline+void.approve")
    assert forced is not None
    assert {k for k in Kind if forced.outcome(k) == scenarios.OUTCOMES["decline"]} == (
        set(Kind) - {Kind.VOID}
    )
    assert forced.outcome(Kind.VOID) == scenarios.APPROVE
    action = scenarios.force("tok_action_required")
    assert action is not None
    assert [k for k in Kind if action.outcome(k) is not None] == [
        Kind.AUTHORIZE,
        Kind.BILL,
    ]
    assert scenarios.force("") is None
    with pytest.raises(ValueError, match="decline_other"):
        scenarios.force("nonsense")


def test_customers_that_do_not_ask_for_anything_are_approved() -> None:
    """Only `mock+…` in the mail address or the name is a scenario; a bad one is unknown."""
    ordinary = scenarios.of_customer(name="Ada", email="ada+decline@example.com")
    assert ordinary is not None
    assert ordinary.outcome(Kind.CREATE) == ordinary.outcome(Kind.UPDATE) == scenarios.APPROVE
    asked = scenarios.of_customer(name="Ada", email="mock+update.not_sent@example.com")
    assert asked is not None
    assert asked.outcome(Kind.CREATE) == scenarios.APPROVE
    assert asked.outcome(Kind.UPDATE).fault is scenarios.Fault.NOT_SENT
    assert scenarios.of_customer(name="mock+nonsense", email="") is None
