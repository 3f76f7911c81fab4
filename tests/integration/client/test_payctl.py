"""payctl against fake servers: output, exit codes, advice."""

import json
import os
import re
import signal
import subprocess
import sys

import grpc
import pytest
from google.rpc import error_details_pb2
from payhub.admin.v1 import key_service_pb2
from typer import testing

from payctl import commands
from tests import shells
from tests.integration.client import fake_log, fake_payments

FakeLog = fake_log.FakeLog
FakePayments = fake_payments.FakePayments
Fault = fake_payments.Fault
Code = grpc.StatusCode


def test_a_payment_is_paid_shown_and_listed(shell: shells.Shell) -> None:
    """`pay` takes major units; `show` and `list` write them back with the currency's decimals."""
    paid = shell.json("pay", "12.50", "eur", "--order", "o-1", "--user", "u", "--meta", "a=b")
    assert paid["state"] == "STATE_SUCCEEDED"
    assert paid["amount"] == {"amount_minor": "1250", "currency_code": "EUR"}
    assert paid["references"]["metadata"] == {"a": "b"}
    shown = shell("show", str(paid["id"])).stdout
    assert "12.50 EUR" in shown
    assert "SUCCEEDED" in shown
    assert "SALE" in shown
    shell("pay", "500", "JPY")
    shell("pay", "1.250", "KWD")
    listed = shell("list").stdout
    assert re.search(rf"{paid['id']}\s+SUCCEEDED\s+12\.50 EUR", listed)
    assert "500 JPY" in listed
    assert "1.250 KWD" in listed


@pytest.mark.parametrize(
    ("method", "code", "text"),
    [
        ("tok_approve", 0, "SUCCEEDED"),
        ("tok_decline_insufficient_funds", 3, "INSUFFICIENT_FUNDS"),
        ("tok_late_answer", 4, "IN_DOUBT"),
    ],
)
def test_exit_codes_tell_outcomes_apart(
    shell: shells.Shell, method: str, code: int, text: str
) -> None:
    """Done is 0, refused is 3, not decided yet is 4, with or without --json."""
    result = shell("pay", "1", "EUR", "--method", method, code=code)
    assert text in result.stdout
    assert ("do not pay again" in result.stderr) is (code == 4)
    shell("pay", "1", "EUR", "--method", method, "--json", code=code)


def test_held_money_is_captured_in_parts_and_refunded(shell: shells.Shell) -> None:
    """`capture` and `refund` read amounts in the payment's currency, asked from the server."""
    held = shell.json("pay", "1.500", "KWD", "--manual")
    assert held["state"] == "STATE_AUTHORIZED"
    payment_id = str(held["id"])
    part = shell.json("capture", payment_id, "0.400", "--more-to-follow")
    assert part["amounts"]["captured_minor"] == "400"
    assert shell.json("capture", payment_id)["state"] == "STATE_SUCCEEDED"
    refund = shell.json("refund", payment_id, "0.1", "--reason", "requested_by_customer")
    assert refund["amount"] == {"amount_minor": "100", "currency_code": "KWD"}
    assert "0.100 KWD" in shell("refunds", payment_id).stdout
    one = shell("refunds", str(refund["id"])).stdout
    assert "requested_by_customer" in one
    assert payment_id in one
    assert shell.json("refunds", str(refund["id"]))["operation_id"] == refund["operation_id"]
    assert "0.100 KWD" in shell("refund", payment_id, "0.1").stdout
    assert "KWD has 3 decimals" in shell("capture", payment_id, "0.0001", code=2).stderr


def test_a_payment_is_made_first_and_sent_or_ended_later(
    shell: shells.Shell, payments: FakePayments
) -> None:
    """`--no-confirm` sends no payment method; `confirm` sends it; `cancel` ends it."""
    made = shell.json("pay", "5", "EUR", "--no-confirm")
    assert made["state"] == "STATE_CREATED"
    assert not payments.requests[0].payment_method
    assert shell.json("confirm", str(made["id"]))["state"] == "STATE_SUCCEEDED"
    other = shell.json("pay", "5", "EUR", "--no-confirm")
    assert shell.json("cancel", str(other["id"]), "--reason", "gone")["state"] == "STATE_CANCELED"


def test_the_same_key_repeats_a_command(shell: shells.Shell, payments: FakePayments) -> None:
    """`--key` makes a repetition of the same payment, not a second one."""
    first = shell.json("pay", "5", "EUR", "--key", "k-1")
    assert shell.json("pay", "5", "EUR", "--key", "k-1")["id"] == first["id"]
    assert len(payments.payments) == 1


def test_an_empty_key_is_wrong_usage(shell: shells.Shell, payments: FakePayments) -> None:
    """A script whose variable for the key is not set pays nothing, rather than once per run."""
    result = shell("pay", "10", "EUR", "--key", "", code=2)
    assert "--key" in result.output
    shell("plans", "create", "Gold", "10", "EUR", "--key", "", code=2)
    assert not payments.seen


def test_lists_are_filtered_and_paged(shell: shells.Shell, payments: FakePayments) -> None:
    """Filters reach the server; a page says how to get the next one."""
    for _ in range(3):
        shell("pay", "1", "EUR")
    page = shell("list", "--limit", "2", "--state", "succeeded", "--from", "2026-01-31T12:00")
    assert page.stdout.count("pay_") == 2
    assert "--page-token 2" in page.stderr
    request = payments.requests[-1]
    assert request.created_from.ToJsonString() == "2026-01-31T12:00:00Z"
    rest = shell.json("list", "--limit", "2", "--page-token", "2")
    assert len(rest["payments"]) == 1
    assert rest["next_page_token"] == ""
    assert "(none)" in shell("list", "--state", "failed").stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("pay", "10.5", "JPY"), "JPY has no decimals"),
        (("pay", "ten", "EUR"), "is no amount"),
        (("pay", "1", "XAU"), "no currency to pay in"),
        (("pay", "1"), "Missing argument"),
        (("pay", "1", "EUR", "--meta", "x"), "key=value"),
        (("list", "--state", "done"), "in_doubt"),
        (("list", "--from", "yesterday"), "2026-01-31T12:00"),
        (("list", "--limit", "0"), "greater than or equal to 1"),
        (("refund", "pay_1", "--reason", "mood"), "fraudulent"),
        (("events", "tail", "--from-start", "--after", "c"), "give one of"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_right(
    shell: shells.Shell, payments: FakePayments, arguments: tuple[str, ...], text: str
) -> None:
    """What can be seen to be wrong is refused before anything is sent."""
    message = " ".join(shell(*arguments, code=2).stderr.replace("│", " ").split())
    assert text in message
    assert not payments.seen


def test_errors_say_what_to_do_next(shell: shells.Shell, payments: FakePayments) -> None:
    """An error goes to stderr with its fields, its request id and the next step; exit code 1."""
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="references.user_id", description="is too long")
    refusal = fake_payments.status(Code.INVALID_ARGUMENT, "INVALID_FIELD", details=[bad])
    payments.faults.extend([Fault(status=refusal)] * 2)
    people = shell("pay", "1", "EUR", code=1)
    assert not people.stdout
    assert "references.user_id: is too long" in people.stderr
    assert "request: srv_CreatePayment" in people.stderr
    assert "next: correct the value" in people.stderr
    program = json.loads(shell("pay", "1", "EUR", "--json", code=1).stderr)
    assert program["error"]["reason"] == "INVALID_FIELD"
    assert program["error"]["fields"] == {"references.user_id": "is too long"}


_LIMIT = {"currency_code": "EUR", "limit_minor": "5000", "amount_minor": "6000"}


@pytest.mark.parametrize(
    ("reason", "metadata", "text"),
    [
        (
            "AMOUNT_EXCEEDED",
            {"max_amount_minor": "500", "currency_code": "EUR"},
            "no more than 5.00 EUR is possible now",
        ),
        ("AMOUNT_EXCEEDED", {"max_amount_minor": "500"}, "as planted"),
        ("LIMIT_EXCEEDED", {"limit": "max", **_LIMIT}, "the most that this binding takes at once"),
        ("LIMIT_EXCEEDED", {"limit": "min", **_LIMIT}, "at once is 50.00 EUR, not 60.00 EUR"),
        (
            "LIMIT_EXCEEDED",
            {"limit": "daily", "used_minor": "1000", "day": "2026-03-31", **_LIMIT},
            "takes 50.00 EUR a day, and 40.00 EUR is left of 2026-03-31, not 60.00 EUR",
        ),
        ("LIMIT_EXCEEDED", {"limit": "weekly", **_LIMIT}, "as planted"),
    ],
)
def test_a_refused_amount_is_told_in_the_unit_it_was_typed_in(
    shell: shells.Shell,
    payments: FakePayments,
    reason: str,
    metadata: dict[str, str],
    text: str,
) -> None:
    """Who types 60 does not read 6000; what is new to payctl stays in the service's words."""
    refusal = fake_payments.status(Code.FAILED_PRECONDITION, reason, metadata=metadata)
    payments.faults.extend([Fault(status=refusal)] * 2)
    people = shell("pay", "60", "EUR", code=1).stderr
    assert text in people
    assert text == "as planted" or "_minor" not in people
    program = json.loads(shell("pay", "60", "EUR", "--json", code=1).stderr)["error"]
    assert text in program["message"]
    assert program["metadata"] == metadata


def test_an_unknown_outcome_names_the_key_to_repeat_with(
    shell: shells.Shell, payments: FakePayments
) -> None:
    """A lost answer exits with 4 and prints the key that repeats the payment safely."""
    payments.faults.append(Fault(hang_s=30, after_effect=True))
    # On a busy machine a short time may be over before there is a connection, or anything sent.
    for limit_s in ("0.2", "2", "10"):
        arguments = ["--timeout", limit_s, "pay", "1", "EUR"]
        result = testing.CliRunner(env=shell.env).invoke(commands.app, arguments)
        if "nothing was sent" not in result.stderr:
            break
    payments.faults.clear()
    assert result.exit_code == 4
    assert "do not pay again" in result.stderr
    found = re.search(r"--key (\S+)", result.stderr)
    assert found is not None
    repeated = shell.json("pay", "1", "EUR", "--key", found[1])
    assert list(payments.payments) == [repeated["id"]]


def test_customers_are_made_shown_and_changed(shell: shells.Shell) -> None:
    """`customers` covers create, show and update."""
    made = shell.json("customers", "create", "--name", "Ada", "--email", "ada@example.com")
    customer_id = str(made["id"])
    shell("customers", "update", customer_id, "--phone", "+44")
    shown = shell("customers", "show", customer_id).stdout
    assert "Ada" in shown
    assert "+44" in shown
    assert "SYNCED" in shown
    assert "something to change" in shell("customers", "update", customer_id, code=2).stderr


def test_keys_are_made_listed_and_revoked(shell: shells.Shell, payments: FakePayments) -> None:
    """The secret is shown once, by `create`; `list` shows revocations."""
    made = shell("keys", "create", "--name", "shop", "--scope", "payments:read")
    assert "phk_made_once" in made.stdout
    assert "not shown again" in made.stderr
    assert "revoked" in shell("keys", "revoke", "k0").stdout
    listed = shell("keys", "list")
    assert "shop" in listed.stdout
    assert "phk_" not in listed.stdout
    payments.admin.keys["k1"] = key_service_pb2.Key(id="k1", name="x")
    assert len(shell.json("keys", "list")["keys"]) == 2


def test_status_shows_both_processes(shell: shells.Shell, payments: FakePayments) -> None:
    """`status` exits with 0 if all is well, and with 1, still showing the rest, if not. A count
    that ended says so.
    """
    payments.admin.events_waiting = 99_999
    assert "99999\n" in shell("status").stdout
    payments.admin.events_waiting = 100_000
    assert "100000 or more\n" in shell("status").stdout
    well = shell("status").stdout
    assert "mock (default)" in well
    assert "head position" in well
    payments.faults.append(Fault(status=fake_payments.status(Code.PERMISSION_DENIED)))
    broken = shell.json("status", code=1)
    assert broken["payments"]["error"]["reason"] == "PermissionDenied"
    assert broken["events"]["log_epoch"] == "e1"
    payments.faults.append(Fault(status=fake_payments.status(Code.PERMISSION_DENIED)))
    assert "not this key" in shell("status", code=1).stdout


def test_tail_shows_events_and_the_last_cursor(shell: shells.Shell, log: FakeLog) -> None:
    """`events tail` writes a line per event, and the cursor to go on from on stderr."""
    log.append(4)
    people = shell("events", "tail", "--from-start", "--stop-at-head")
    assert len(people.stdout.splitlines()) == 4
    assert re.search(r"payment\.succeeded\s+pay_\w+\s+v1\s+SUCCEEDED\s+12\.50 EUR", people.stdout)
    assert "last cursor: e1:8" in people.stderr
    log.append(2)
    later = shell("events", "tail", "--after", "e1:8", "--stop-at-head", "--json")
    lines = [json.loads(line) for line in later.stdout.splitlines()]
    assert [line["event"]["position"] for line in lines] == ["10", "12"]
    assert lines[-1]["cursor"] == "e1:12"
    assert lines[0]["event"]["payload"]["payment"]["state"] == "STATE_SUCCEEDED"


def test_tail_reports_what_it_can_not_mend(shell: shells.Shell, log: FakeLog) -> None:
    """A cursor that expired ends `tail` with an error that says how to begin again."""
    refusal = fake_payments.status(Code.OUT_OF_RANGE, "CURSOR_EXPIRED")
    log.streams = [fake_log.Stream(refuse=refusal)]
    assert "--from-start" in shell("events", "tail", "--after", "e1:2", code=1).stderr


def test_history_is_queried_and_shown(shell: shells.Shell, log: FakeLog) -> None:
    """`events query`, `show` and `info` cover the unary side of the log."""
    log.append(3)
    page = shell("events", "query", "--types", "payment.*", "--limit", "2")
    assert len(page.stdout.splitlines()) == 2
    assert "--page-token 2e" in page.stderr
    rest = shell.json("events", "query", "--limit", "2", "--page-token", "2e")
    assert [event["position"] for event in rest["events"]] == ["6"]
    shown = shell("events", "show", "evt_00000002").stdout
    assert "payment.succeeded v1" in shown
    assert '"amount_minor": "1250"' in shown
    assert shell.json("events", "show", "evt_00000002")["cursor"] == "e1:4"
    assert "head position" in shell("events", "info").stdout
    shell("events", "show", "evt_99999999", code=1)


def test_help_documents_exit_codes_and_the_key() -> None:
    """`payctl --help` says what the exit codes mean and where the key is looked for."""
    text = " ".join(testing.CliRunner().invoke(commands.app, ["--help"]).stdout.split())
    assert "4 not decided yet" in text
    assert "./var/dev.key" in text
    assert testing.CliRunner().invoke(commands.app, ["--version"]).stdout.startswith("payctl ")


def spawned(shell: shells.Shell, *arguments: str) -> subprocess.Popen[str]:
    """A payctl process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "payctl", *arguments],
        env={**os.environ, **shell.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_control_c_ends_tail_in_good_order(shell: shells.Shell, log: FakeLog) -> None:
    """SIGINT ends `events tail` with 0 and the last cursor, and nothing else on stderr."""
    log.append(2)
    process = spawned(shell, "events", "tail", "--from-start", "--json")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    rest, complaints = process.communicate(timeout=20)
    assert process.returncode == 0
    assert [json.loads(line)["cursor"] for line in lines][-1] == "e1:4"
    assert rest == ""
    assert complaints.splitlines() == ["last cursor: e1:4"]


def test_tail_says_in_its_own_words_that_a_gateway_is_gone() -> None:
    """While the gateway is away, `tail` tells that it connects again, and gRPC writes nothing."""
    with fake_log.serving() as log:
        log.append(1)
        process = subprocess.Popen(
            [sys.executable, "-m", "payctl", "events", "tail", "--from-start"],
            env={**os.environ, "PAYHUB_EVENTS_TARGET": log.target, "PAYHUB_KEY": "k"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert "connecting again in" in first
    assert process.returncode == 0


@pytest.mark.parametrize("length", ["nan", "inf", "1e300"])
def test_what_is_no_number_is_no_length_of_time(shell: shells.Shell, length: str) -> None:
    """NaN, which is neither too small nor too large, and infinity are wrong usage."""
    assert "--timeout" in shell("--timeout", length, "pay", "1", "EUR", code=2).stderr
    create = ("events", "consumers", "create", "c")
    for option in ("--ack-timeout", "--backoff", "--idle-expiry"):
        assert option in shell(*create, option, length, code=2).stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_control_c_in_a_payment_names_the_key(
    shell: shells.Shell, payments: FakePayments, sent: signal.Signals
) -> None:
    """Interrupting a payment, as Ctrl-C and timeout(1) do, exits with 4 and says how to learn
    what became of it.
    """
    for number, form in enumerate(([], ["--json"])):
        payments.faults.append(Fault(hang_s=30, after_effect=True))
        process = spawned(shell, "pay", "1", "EUR", *form)
        payments.wait_for_calls(1)
        process.send_signal(sent)
        _, complaints = process.communicate(timeout=20)
        assert process.returncode == 4
        key = payments.seen[number].key
        assert f"--key {key}" in complaints
    error = json.loads(complaints)["error"]
    assert (error["idempotency_key"], error["retry"]) == (key, "same_key")
