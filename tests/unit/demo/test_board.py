"""Rules of what the demo shows."""

import io

import pytest
from rich import console

from examples.demo import board, verify


@pytest.mark.parametrize(
    ("amount_minor", "currency", "shown"),
    [
        (1050, "JPY", "1050"),
        (1050, "EUR", "10.50"),
        (5, "EUR", "0.05"),
        (1050, "KWD", "1.050"),
        (0, "BHD", "0.000"),
    ],
)
def test_amounts_have_the_currency_s_decimals(amount_minor: int, currency: str, shown: str) -> None:
    """An amount is written with as many decimals as its currency has."""
    assert board.decimal(amount_minor, currency) == shown


def test_unequal_sums_are_marked() -> None:
    """A currency whose sums differ from the ledger's stands out in the summary."""
    totals = {"EUR": verify.Totals(payments=1, captured=1000, ledger_captured=900)}
    out = console.Console(file=io.StringIO(), width=board.PLAIN_WIDTH, record=True)

    for table in board.summary(totals, {"SUCCEEDED": (2, 1)}):
        out.print(table)

    text = out.export_text()
    assert "10.00" in text
    assert "9.00" in text
    assert "NO" in text


def test_many_differences_are_cut_short() -> None:
    """No more lines are printed than a person reads, and how many are left is said."""
    lines = board.differences({"order-1": [f"field {n}" for n in range(board.MOST_SHOWN + 3)]})

    assert len(lines) == board.MOST_SHOWN + 1
    assert lines[-1].plain == "... and 3 more"
