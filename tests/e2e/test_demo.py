"""Rules of the demo as people run it: it proves its orders, and it can fail."""

import json
import pathlib
import subprocess
import sys
from typing import Any

import psutil
import pytest

from deploy import stack
from examples.demo import __main__ as demo
from examples.demo import stripe_orders


def one_of_each_kind() -> list[dict[str, Any]]:
    """Returns shipped orders that differ in method, capture, steps and final state."""
    kinds: dict[object, dict[str, Any]] = {}
    for text in demo.ORDERS.read_text().splitlines():
        line = json.loads(text)
        steps = [(step["do"], step.get("more_to_follow")) for step in line.get("steps", [])]
        kind = (line.get("payment_method"), line["capture_method"], line["expect"]["state"])
        kinds.setdefault((*kind, str(steps)), line)
    return list(kinds.values())


def run(
    tmp_path: pathlib.Path,
    lines: list[dict[str, Any]],
    *arguments: str,
    subscriptions: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Runs the demo with these orders, as `make demo` does; without subscriptions by default."""
    file, lived = tmp_path / "orders.jsonl", demo.SUBSCRIPTIONS
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    if not subscriptions:
        lived = tmp_path / "subscriptions.jsonl"
        lived.write_text('{"last_day": 1}\n')
    return subprocess.run(
        [
            *(sys.executable, "-m", "examples.demo"),
            *arguments,
            *(f"--orders={file}", f"--subscriptions={lived}", f"--var={tmp_path / 'var'}"),
        ],
        cwd=stack.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def left_behind(tmp_path: pathlib.Path) -> list[str]:
    """Returns the command lines of processes that use a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        if any(str(tmp_path) in value for value in environment.values()):
            found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.timeout(180)
def test_demo_proves_its_orders(tmp_path: pathlib.Path) -> None:
    """Every kind of order and every subscription ends as written, on all processes, which are
    gone afterwards.
    """
    lines = one_of_each_kind()

    result = run(tmp_path, lines, subscriptions=True)

    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(lines)} payments as expected, ledger equal" in result.stdout
    assert f"orders {len(lines)}/{len(lines)}" in result.stdout
    assert "13 subscriptions over 66 days" in result.stdout
    assert left_behind(tmp_path / "var") == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("field", "wrong", "text"),
    [
        ("captured_minor", 1, "captured_minor is"),
        ("state", "CANCELED", "expected CANCELED"),
    ],
)
def test_demo_fails_on_a_wrong_expectation(
    tmp_path: pathlib.Path, field: str, wrong: object, text: str
) -> None:
    """One wrong expectation makes the demo end with 1 and name the order and both sides."""
    approved = [line for line in one_of_each_kind() if line.get("payment_method") == "tok_approve"]
    approved[0]["expect"][field] = wrong

    result = run(tmp_path, approved[:4])

    assert result.returncode == 1, result.stdout + result.stderr
    shown = " ".join(result.stdout.split())
    assert approved[0]["id"] in shown
    assert text in shown
    assert "1 differences" in shown


@pytest.mark.timeout(180)
def test_demo_proves_its_orders_at_the_double_of_stripe(tmp_path: pathlib.Path) -> None:
    """One order of each kind that Stripe has, lost answers too, ends as written there; the
    output says what differs.
    """
    lines = one_of_each_kind()
    faulty = [line for line in lines if line.get("payment_method") in stripe_orders.FAULTS]
    lines = [line for line in lines if line not in faulty[3:]]

    result = run(tmp_path, lines, "--provider=stripe")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "payments as expected, ledger equal" in result.stdout
    assert "orders end otherwise at Stripe: one capture" in result.stdout
    assert left_behind(tmp_path / "var") == []


def test_demo_refuses_a_useless_file(tmp_path: pathlib.Path) -> None:
    """A malformed order ends the demo with 2 before anything is started."""
    result = run(tmp_path, [{"id": "order-1"}])

    assert result.returncode == 2
    assert "orders.jsonl:1: expect has to be a JSON object" in result.stderr
    assert not (tmp_path / "var").exists()
