"""What is kept of a run of `make bench`."""

import json
import pathlib

import pytest

from benchmarks import report


def test_a_run_of_a_part_dates_what_it_measured_alone(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other figures keep their values and the day that they are of."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    days = iter(["2026-11-21", "2026-11-29"])
    monkeypatch.setattr(report, "_today", lambda: next(days))
    whole = report.Board("")
    whole.figure("catch_up_vs_select", 0.4)
    whole.figure("publish_events_vs_blind", 0.62)
    whole.note("bare_per_s", 1_900.0)
    whole.write()
    part = report.Board("catch_up")
    part.figure("catch_up_vs_select", 0.55)
    part.write()
    kept = json.loads((tmp_path / "latest.json").read_text())
    assert kept["figures"] == {"catch_up_vs_select": 0.55, "publish_events_vs_blind": 0.62}
    assert kept["measured"] == {
        "bare_per_s": "2026-11-21",
        "catch_up_vs_select": "2026-11-29",
        "publish_events_vs_blind": "2026-11-21",
    }
    table = (tmp_path / "latest.md").read_text()
    assert "| catch_up_vs_select | 0.55 | ≥ 0.5 | 2026-11-29 |" in table
    assert "| bare_per_s | 1900.0 | 2026-11-21 |" in table
