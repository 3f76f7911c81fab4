"""payctl on the rest of the payment domain, against a service that answers as planned."""

import json
import pathlib
import re
from typing import Any

import grpc
import pytest
from payhub.payments.v1 import billing_events_pb2, mirror_pb2

import payhub_client
from payhub_client import Event
from tests import shells
from tests.integration.client import fake_billing, fake_log, fake_payments

FakePayments = fake_payments.FakePayments


def test_methods_plans_and_subscriptions_from_first_to_last(
    shell: shells.Shell, payments: FakePayments
) -> None:
    """Every command reaches its RPC, writes tables for people and JSON for programs."""
    billing = payments.billing
    method = shell.json("methods", "attach", "cus_1", "tok_approve", "--default")
    shown = shell("methods", "show", method["id"]).stdout
    assert "visa 4242, 04/2031" in shown
    assert "SYNCED" in shown
    assert "tok_approve" not in shown
    shell("methods", "default", method["id"])
    assert re.search(rf"{method['id']}\s+ACTIVE\s+card", shell("methods", "list", "cus_1").stdout)
    plan = shell.json("plans", "create", "Basic", "9.90", "eur", "--trial-days", "14")
    assert plan["amount"] == {"amount_minor": "990", "currency_code": "EUR"}
    assert "9.90 EUR every month" in shell("plans", "show", plan["id"]).stdout
    other = shell.json("plans", "create", "Big", "100", "JPY", "--interval", "week", "--count", "2")
    assert "100 JPY  every 2 weeks" in shell("plans", "list").stdout
    shell("plans", "add-price", other["id"], "--provider", "stripe")
    assert "stripe SYNCED" in shell("plans", "list", "--all").stdout
    made = shell.json("subscriptions", "create", "cus_1", plan["id"], "--method-id", method["id"])
    assert made["state"] == "STATE_ACTIVE"
    moved = shell(
        *("subscriptions", "change", made["id"], other["id"]),
        "--quantity",
        "2",
        "--proration",
        "now",
    )
    assert other["id"] in moved.stdout
    sent: Any = payments.requests[-1]
    assert (sent.quantity, sent.proration) == (2, 2)
    ends = shell("subscriptions", "cancel", made["id"], "--at-period-end").stdout
    assert "with the period" in ends
    assert "CancelSubscription" in ends
    shell("subscriptions", "reactivate", made["id"])
    shell("subscriptions", "cancel", made["id"])
    assert "CANCELED" in shell("subscriptions", "list", "--state", "canceled").stdout
    assert "2027-02-15" in shell("subscriptions", "show", made["id"]).stdout
    invoice = billing.add(fake_billing.billed(made["id"]))
    assert re.search(r"A-1\s+PAID\s+9\.90 EUR", shell("invoices", "list").stdout)
    assert "https://pay.example/i/1.pdf" in shell("invoices", "show", invoice.id).stdout
    shell("plans", "archive", plan["id"])
    shell("methods", "detach", method["id"])


def test_checkouts_disputes_retries_and_increments(
    shell: shells.Shell, payments: FakePayments, tmp_path: pathlib.Path
) -> None:
    """Every command reaches its RPC, writes tables for people and JSON for programs."""
    page = shell("checkout", "create", "12.50", "EUR", "--user", "u-1", "--open-for", "2h").stdout
    assert "https://pay.example/c/1" in page
    sent: Any = payments.requests[-1]
    assert (sent.amount.amount_minor, sent.open_for.seconds) == (1250, 7200)
    found = re.search(r"chk_\w+", page)
    assert found is not None
    assert "OPEN" in shell("checkout", "list", "--state", "open").stdout
    assert "EXPIRED" in shell("checkout", "expire", found[0]).stdout
    assert shell.json("checkout", "show", found[0])["state"] == "STATE_EXPIRED"
    assert "cs_1" in shell("checkout", "create", "--plan", "plan_1", "--embedded").stdout

    dispute = payments.billing.add(fake_billing.disputed("pay_1"))
    listed = shell("disputes", "list", "--state", "needs_response").stdout
    assert re.search(r"NEEDS_RESPONSE\s+12\.50 EUR\s+fraudulent", listed)
    letter = tmp_path / "letter.txt"
    letter.write_text("They wear it.")
    texts = ("--text", "product_description=Shoes", "--file", f"uncategorized_text={letter}")
    answered = shell("disputes", "evidence", dispute.id, *texts).stdout
    assert "submitted" in answered
    sent = payments.requests[-1]
    assert dict(sent.evidence) == {
        "product_description": "Shoes",
        "uncategorized_text": "They wear it.",
    }
    assert shell.json("disputes", "accept", dispute.id)["state"] == "STATE_LOST"
    assert "SubmitDisputeEvidence" in shell("disputes", "show", dispute.id).stdout

    assert "never" in shell("retry-policy", "show").stdout
    assert "1h, 1d, 36h" in shell("retry-policy", "set", "60m", "1d", "36h").stdout
    assert "1h, 1d" in shell("retry-policy", "show").stdout
    assert shell.json("retry-policy", "set", "--none")["delays"] == []

    held = shell.json("pay", "10", "EUR", "--manual", "--method-id", "pmt_1", "--off-session")
    sent = payments.requests[-1]
    assert (sent.payment_method, sent.payment_method_id, sent.off_session) == ("", "pmt_1", True)
    more = shell.json("increment", held["id"], "2.50")
    assert more["amounts"]["authorized_minor"] == "1250"
    assert "INCREMENT" in shell("show", held["id"]).stdout


def test_exit_codes_tell_what_the_provider_made_of_it(
    shell: shells.Shell, payments: FakePayments
) -> None:
    """Confirmed is 0, refused is 3, not known or not paid yet is 4, with the next step."""
    billing = payments.billing
    billing.sync_state = mirror_pb2.SYNC_STATE_FAILED
    refused = shell("methods", "attach", "cus_1", "tok_decline", code=3)
    assert "DO_NOT_HONOR" in refused.stdout
    assert "with a new key" in refused.stderr
    shell("plans", "create", "Basic", "9.90", "EUR", "--json", code=3)
    billing.sync_state = mirror_pb2.SYNC_STATE_IN_DOUBT
    doubt = shell("checkout", "create", "5", "EUR", "--key", "k-9", code=4)
    assert "IN_DOUBT" in doubt.stdout
    assert re.search(r"`payctl checkout show chk_\w+`; do not repeat", doubt.stderr)
    assert "--key k-9" in doubt.stderr
    billing.sync_state = fake_billing.SYNCED
    billing.state = payhub_client.BillingSubscription.STATE_PENDING
    unpaid = shell("subscriptions", "create", "cus_1", "plan_1", code=4)
    assert "not settled yet" in unpaid.stderr
    billing.state = payhub_client.BillingSubscription.STATE_FAILED
    shell("subscriptions", "create", "cus_1", "plan_1", code=3)
    conflict = fake_payments.status(
        grpc.StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT", metadata={"state": "STATE_CANCELED"}
    )
    payments.faults.append(fake_payments.Fault(status=conflict))
    wrong = shell("subscriptions", "cancel", "sub_1", code=1)
    assert "next: look at it with `payctl subscriptions show`" in wrong.stderr
    payments.faults.append(fake_payments.Fault(status=conflict))
    machine = json.loads(shell("checkout", "expire", "chk_1", "--json", code=1).stderr)
    assert "payctl checkout show" in machine["error"]["next"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("plans", "create", "x", "1", "EUR", "--interval", "hour"), "day, week, month, year"),
        (("plans", "create", "x", "1.5", "JPY"), "JPY has no decimals"),
        (("subscriptions", "list", "--state", "ended"), "past_due"),
        (("subscriptions", "change", "s", "p", "--proration", "later"), "next_invoice"),
        (("checkout", "create", "12.50"), "or --plan"),
        (("checkout", "create", "1", "EUR", "--plan", "p"), "not both"),
        (("checkout", "create", "1", "EUR", "--open-for", "2 hours"), "such as 30m"),
        (("checkout", "create", "1", "EUR", "--customer", "c", "--user", "u"), "not both"),
        (("disputes", "evidence", "dsp_1"), "--text name=text"),
        (("disputes", "evidence", "dsp_1", "--file", "a=/nowhere"), "can't be read"),
        (("retry-policy", "set"), "or --none"),
        (("pay", "1", "EUR", "--method", "tok_approve", "--method-id", "p"), "not both"),
    ],
)
def test_wrong_usage_says_what_is_right(
    shell: shells.Shell, payments: FakePayments, arguments: tuple[str, ...], text: str
) -> None:
    """What can be seen to be wrong is refused before anything is sent."""
    message = " ".join(shell(*arguments, code=2).stderr.replace("│", " ").split())
    assert text in message
    assert not payments.seen


def test_tail_shows_what_became_of_everything(shell: shells.Shell, log: fake_log.FakeLog) -> None:
    """A line of an invoice shows its state and amount, like one of a payment."""
    log.append(1)
    told = billing_events_pb2.InvoiceEvent(invoice=fake_billing.billed("sub_1"))
    log.events[-1].MergeFrom(
        Event(
            type="invoice.paid",
            entity_type="invoice",
            entity_id="inv_1",
            data_schema="payhub.payments.v1.InvoiceEvent",
        )
    )
    log.events[-1].data = told.SerializeToString()
    line = shell("events", "tail", "--from-start", "--stop-at-head").stdout
    assert re.search(r"invoice\.paid\s+inv_1\s+v\d+\s+PAID\s+9\.90 EUR", line)
