"""The rest of the payment domain as an operator types it, through real processes."""

import asyncio
import pathlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deploy import stack
from examples.demo import bank
from tests import shells

DEADLINE_S = 45.0
POLL_S = 0.1


class Shell(shells.Shell):
    """Runs payctl against an installation.

    Args:
        running: The installation.
    """

    def __init__(self, running: stack.Stack) -> None:
        super().__init__(
            PAYHUB_TARGET=running.target(stack.PAYMENTS),
            PAYHUB_EVENTS_TARGET=running.target(stack.GATEWAY),
            PAYHUB_KEY=running.dev_key(),
        )
        self._bank = bank.Bank(running.http_url(stack.MOCK))

    def until(
        self, arguments: tuple[str, ...], right: Callable[[dict[str, Any]], Any]
    ) -> dict[str, Any]:
        """Repeats a command that shows something until it is *right*."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            found: dict[str, Any] = self.json(*arguments)
            if right(found):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(POLL_S)

    def press(self, path: str, **query: object) -> None:
        """Presses a switch of the provider."""
        asyncio.run(self._bank.press(path, **query))


@pytest.fixture
def shell(tmp_path: pathlib.Path) -> Iterator[Shell]:
    """payctl, and everything it speaks to, with webhooks."""
    ports = stack.free_ports()
    env = stack.mock_webhooks(ports) | {"PROVIDER_MOCK_WEBHOOK_RETRY_S": "0.2,0.5,1,2"}
    with stack.Stack(tmp_path / "var", ports=ports, env=env) as running:
        yield Shell(running)


@pytest.mark.timeout(180)
def test_an_operator_sees_a_subscription_a_checkout_and_a_dispute_through(shell: Shell) -> None:
    """Every group of commands does on real processes what it says, and says what came of it."""
    customer = shell.json("customers", "create", "--name", "Ada", "--user", "u-1")["id"]
    refused = shell("methods", "attach", customer, "tok_attach.decline_do_not_honor", code=3)
    assert "DO_NOT_HONOR" in refused.stdout
    method = shell.json("methods", "attach", customer, "tok_approve", "--default")["id"]
    assert re.search(rf"{method}\s+ACTIVE\s+card", shell("methods", "list", customer).stdout)
    small = shell.json("plans", "create", "Small", "9.90", "EUR", "--trial-days", "7")["id"]
    large = shell.json("plans", "create", "Large", "20", "EUR")["id"]
    subscription = shell.json("subscriptions", "create", customer, small)["id"]
    shown = ("subscriptions", "show", subscription)
    assert "TRIALING" in shell(*shown).stdout

    shell.press("/clock", advance_s=8 * bank.DAY_S)
    shell.until(shown, lambda found: found["state"] == "STATE_ACTIVE")
    invoices = ("invoices", "list", "--subscription", subscription, "--state", "paid")
    paid = shell.until(invoices, lambda found: found["invoices"])["invoices"][0]
    invoice = shell.until(("invoices", "show", paid["id"]), lambda found: found["payment_id"])
    assert invoice["pdf_url"].endswith(".pdf")
    assert "9.90 EUR" in shell("show", invoice["payment_id"]).stdout
    moved = shell.json("subscriptions", "change", subscription, large, "--proration", "none")
    assert moved["plan_id"] == large
    assert "CancelSubscription" in shell(*shown).stdout
    assert shell.json("subscriptions", "cancel", subscription, "--at-period-end")[
        "cancel_at_period_end"
    ]
    assert not shell.json("subscriptions", "reactivate", subscription)["cancel_at_period_end"]
    assert "CANCELED" in shell("subscriptions", "cancel", subscription).stdout
    wrong = shell("subscriptions", "reactivate", subscription, code=1)
    assert "next: look at it with `payctl subscriptions show`" in wrong.stderr
    assert shell.json("plans", "archive", small)["state"] == "STATE_ARCHIVED"

    page = shell.json("checkout", "create", "12.50", "EUR", "--user", "u-2", "--order", "o-2")
    token = page["redirect_url"].partition("/checkouts/")[2]
    shell.press(f"/checkouts/{token}/complete")
    done = shell.until(("checkout", "show", page["id"]), lambda found: found["payment_id"])
    payment = done["payment_id"]
    assert "o-2" in shell("show", payment).stdout
    other = shell.json("checkout", "create", "--plan", large, "--user", "u-2")["id"]
    assert shell.json("checkout", "expire", other)["state"] == "STATE_EXPIRED"

    there = shell.json("show", payment)["provider_payment_id"]
    shell.press(f"/control/payments/{there}/dispute", reason="fraudulent")
    listing = ("disputes", "list", "--payment", payment)
    dispute = shell.until(listing, lambda found: found["disputes"])["disputes"][0]["id"]
    too_much = shell("refund", payment, code=1)
    assert "next:" in too_much.stderr
    answered = shell.json("disputes", "evidence", dispute, "--text", "uncategorized_text=It came.")
    assert answered["has_evidence"]
    at_bank = answered["mirror"]["provider_object_id"]
    shell.press(f"/control/disputes/{at_bank}/win")
    shell.until(("disputes", "show", dispute), lambda found: found["state"] == "STATE_WON")
    assert shell.json("refund", payment)["state"] == "STATE_SUCCEEDED"

    held = shell.json("pay", "10", "EUR", "--manual")["id"]
    assert shell.json("increment", held, "5")["amounts"]["authorized_minor"] == "1500"
    kept = ("--customer", customer, "--method-id", method, "--off-session")
    assert shell.json("pay", "3", "EUR", *kept)["state"] == "STATE_SUCCEEDED"
    assert "1h, 1d" in shell("retry-policy", "set", "1h", "1d").stdout
    assert "1h, 1d" in shell("retry-policy", "show").stdout
    shell("methods", "detach", method)
    # Events are in the log some moments after what they tell of.
    query = ("events", "query", "--types", "dispute.*", "--types", "invoice.*")
    shell.until(
        query, lambda found: "dispute.closed" in str(found) and "invoice.paid" in str(found)
    )
    told = shell(*query).stdout
    assert re.search(r"dispute\.closed\s+dsp_\w+\s+v\d+\s+WON\s+12\.50 EUR", told)
    assert re.search(r"invoice\.paid\s+inv_\w+\s+v\d+\s+PAID\s+9\.90 EUR", told)
