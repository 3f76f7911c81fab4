"""Tables of payctl on terminals of different widths."""

import io

import pytest
import rich.console

from payctl import render

COLUMNS = ["operation", "tenant", "why", ">amount", "created"]
ID = "op_01a22e6c10e470568ab818d14c861818"
WHY = "ANSWER_MISMATCH (asked for 5.00 EUR, the provider booked 5.01 EUR)"
ROW = [ID, "shop", WHY, "5.00 EUR", "2026-11-30 21:46:03.875Z"]


def written(monkeypatch: pytest.MonkeyPatch, width: int, rows: list[list[str]]) -> list[str]:
    """Returns the lines of a table on a terminal of that width."""
    out = io.StringIO()
    screen = rich.console.Console(file=out, force_terminal=True, no_color=True, width=width)
    monkeypatch.setattr(render, "console", lambda: screen)
    render.table(COLUMNS, rows)
    return [rich.text.Text.from_ansi(line).plain.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [50, 80, 100, 140, 300])
def test_what_is_copied_from_a_table_is_never_broken(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """An id stands in one piece on every terminal that it fits on, and nothing is left out."""
    lines = written(monkeypatch, width, [ROW, ROW])
    assert sum(ID in line for line in lines) == 2
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for cell in ROW:
        assert all(words.count(word) >= 2 for word in cell.split())


def test_a_table_that_does_not_fit_is_written_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell stands behind its column's name, empty ones are left out, rows are apart."""
    lines = written(monkeypatch, 60, [ROW, [ID, "", "", "5.00 EUR", ""]])
    assert lines[0] == f"operation  {ID}"
    assert lines[1] == "tenant     shop"
    assert lines[-3:] == ["", f"operation  {ID}", "amount     5.00 EUR"]


def test_a_text_is_folded_before_a_table_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has blanks is written on several lines where the rest fits."""
    lines = written(monkeypatch, 120, [ROW])
    assert lines[0].split() == [column.lstrip(">") for column in COLUMNS]
    assert len(lines) > 2
    assert written(monkeypatch, 60, []) == ["operation  tenant  why  amount  created", "(none)"]
