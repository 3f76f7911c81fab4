"""The upstream double's books: one effect per key, and no more money than there is."""

from typing import Any

import pytest

from provider_sdk.conformance import psp, upstream


class Bank:
    """Books of one account, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.psp = psp.Psp(upstream.INSTRUMENTS, now_s=lambda: self.now_s)

    def act(self, key: str, *, account: str = "a", **params: Any) -> psp.Json:
        """Sends an operation; 10 EUR where it needs an amount."""
        money = {} if params["kind"] == "void" else {"amount_minor": 1_000, "currency": "EUR"}
        return self.psp.act(account=account, key=key, params={**money, **params})

    def pay(self, key: str = "pay", *, kind: str = "authorize", **params: Any) -> psp.Json:
        """Authorizes with the approved instrument unless told otherwise."""
        return self.act(key, **{"kind": kind, "instrument": "tok_approve", **params})


@pytest.fixture
def bank() -> Bank:
    """Fresh books."""
    return Bank()


def _refusal(bank: Bank, key: str, **params: Any) -> tuple[int, str]:
    with pytest.raises(psp.Refusal) as refused:
        bank.act(key, **params)
    return refused.value.status, refused.value.body["error"]["code"]


def test_a_key_has_one_effect(bank: Bank) -> None:
    """Equal parameters get the same operation; whether a challenge can be shown is none."""
    first = bank.pay(customer_action=True)
    assert bank.pay(customer_action=False) == first
    assert [effect.key for effect in bank.psp.effects] == ["pay"]


@pytest.mark.parametrize("change", [{"amount_minor": 1}, {"account": "b"}, {"kind": "sale"}])
def test_a_key_with_other_parameters_is_refused(bank: Bank, change: dict[str, Any]) -> None:
    """Amount, account and kind belong to the key."""
    bank.pay()
    sent = {"kind": "authorize", "instrument": "tok_approve", **change}
    assert _refusal(bank, "pay", **sent) == (409, "mismatch")
    assert len(bank.psp.effects) == 1


def test_ceilings_hold(bank: Bank) -> None:
    """Nobody captures more than was authorized or refunds more than was captured."""
    paid = bank.pay()["object"]
    conflict = (409, "state_conflict")
    assert _refusal(bank, "c1", kind="capture", object=paid, amount_minor=1_001) == conflict
    bank.act("c2", kind="capture", object=paid, amount_minor=400, final=False)
    assert _refusal(bank, "r1", kind="refund", object=paid, amount_minor=401) == conflict
    bank.act("r2", kind="refund", object=paid, amount_minor=400)
    assert _refusal(bank, "r3", kind="refund", object=paid, amount_minor=1) == conflict
    bank.act("c3", kind="capture", object=paid, amount_minor=1, final=True)
    assert _refusal(bank, "c4", kind="capture", object=paid, amount_minor=1) == conflict


def test_a_void_releases_what_is_left(bank: Bank) -> None:
    """It can be repeated, and nothing is captured after it."""
    paid = bank.pay()
    first = bank.act("v1", kind="void", target="pay", object=paid["object"])
    assert first["amount_minor"] == 1_000
    assert bank.act("v2", kind="void", target="pay")["amount_minor"] is None
    again = _refusal(bank, "c", kind="capture", object=paid["object"], amount_minor=1)
    assert again == (409, "state_conflict")


def test_a_void_that_comes_first_keeps_the_authorization_out(bank: Bank) -> None:
    """The late one is declined and books nothing."""
    bank.act("v", kind="void", target="late")
    late = bank.pay("late")
    assert (late["state"], late["decline"]["code"]) == ("declined", "not_allowed")
    assert [effect.kind for effect in bank.psp.effects] == ["void"]


def test_pending_settles_and_waits_for_nobody(bank: Bank) -> None:
    """Money of a pending authorization is there once it has settled."""
    paid = bank.pay(instrument="tok_pending")
    assert paid["state"] == "pending"
    capture = {"kind": "capture", "object": paid["object"]}
    assert _refusal(bank, "early", **capture) == (409, "state_conflict")
    bank.now_s += psp.SETTLE_AFTER_S
    assert bank.psp.find(account="a", key="pay")["state"] == "succeeded"
    assert bank.act("late", **capture)["state"] == "succeeded"


def test_instruments_decide(bank: Bank) -> None:
    """Declines book nothing; a challenge needs somebody who can show it."""
    assert bank.pay("1", instrument="tok_decline")["state"] == "declined"
    assert bank.pay("2", instrument="tok_other")["decline"]["code"] == "instrument_invalid"
    refused = bank.pay("3", instrument="tok_action_required")
    assert refused["decline"]["code"] == "authentication_failed"
    assert bank.psp.effects == []
    asked = bank.pay("4", instrument="tok_action_required", customer_action=True)
    assert asked["state"] == "action_required"
    assert asked["action"]["url"]


def test_accounts_do_not_see_each_other(bank: Bank) -> None:
    """Payments, operations and customers of one account don't exist for another."""
    paid = bank.pay()
    made = bank.act("cus", kind="create_customer", details={})
    for key, params in (
        ("c", {"kind": "capture", "object": paid["object"]}),
        ("v", {"kind": "void", "target": "pay", "object": paid["object"]}),
        ("u", {"kind": "update_customer", "object": made["object"]}),
    ):
        assert _refusal(bank, key, account="b", **params) == (404, "not_found")
    with pytest.raises(psp.Refusal):
        bank.psp.find(account="b", key="pay")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"kind": "authorize", "amount_minor": 0}, "amount_minor"),
        ({"kind": "authorize", "amount_minor": True}, "amount_minor"),
        ({"kind": "authorize", "amount_minor": "1"}, "amount_minor"),
        ({"kind": "authorize", "currency": "eur"}, "currency"),
        ({"kind": "authorize"}, "instrument"),
        ({"kind": "transfer"}, "kind"),
        ({"kind": "capture"}, "object"),
    ],
)
def test_malformed_parameters_are_named(bank: Bank, params: dict[str, Any], field: str) -> None:
    """A refusal says which member is wrong, and books nothing."""
    with pytest.raises(psp.Refusal) as refused:
        bank.act("key", **params)
    assert (refused.value.status, refused.value.body["error"]["field"]) == (422, field)
    assert bank.psp.effects == []
