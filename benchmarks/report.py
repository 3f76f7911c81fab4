"""Figures of a run: collected, shown, kept.

Owns `results/latest.json` and `results/latest.md`. Called by the measurements.
A run of a part keeps the other figures of the file as they were, with the day that they are of.
"""

import contextlib
import datetime
import json
import os
import pathlib
import platform
from collections.abc import Callable, Iterator

from rich import console, progress, table

RESULTS = pathlib.Path(__file__).resolve().parent / "results"

# Floors and ceilings that the project holds itself to, with the aim behind them.
BOUNDS: dict[str, tuple[str, float]] = {
    "create_payment_vs_bare_sqlite": ("≥", 0.45),
    "create_payment_vs_bare_postgres": ("≥", 0.30),
    "create_payment_p50_vs_bare_sqlite": ("≤", 3.0),
    "create_payment_1m_vs_empty": ("≥", 0.9),
    "neighbour_hang_p99_ratio": ("≤", 1.5),
    "webhook_ingest_vs_bare": ("≥", 0.12),
    "fanout_1000x1000_delivered_per_s": ("≥", 1_000_000),
    "fanout_1000x1000_p99_ms": ("≤", 250),
    "fanout_100x1000_cpu_vs_jetstream": ("≤", 0.6),
    "fanout_100x1000_cpu_vs_nats_core": ("≤", 1.3),
    "fanout_100x1000_p50_ms_tick0": ("≤", 3),
    "fanout_100_filters_cpu_vs_none": ("≤", 2),
    "publish_events_vs_blind": ("≥", 0.6),
    "publish_events_vs_blind_postgres": ("≥", 0.6),
    "catch_up_vs_select": ("≥", 0.5),
    "catch_up_vs_select_postgres": ("≥", 0.5),
    "idle_streams_kb_each": ("≤", 40),
    "idle_streams_reconnect_s": ("≤", 5),
    "event_log_stored_publish_vs_empty": ("≥", 0.9),
    "event_log_stored_live_vs_empty": ("≥", 0.9),
}


class Board:
    """What one run measures."""

    def __init__(self, only: str) -> None:
        self._only = only
        self._figures: dict[str, float] = {}
        self._notes: dict[str, float] = {}
        self._console = console.Console(stderr=True)

    def wants(self, *names: str) -> bool:
        """Whether one of these figures was asked for."""
        return any(name.startswith(self._only) for name in names)

    def figure(self, name: str, value: float) -> None:
        """Keeps a figure."""
        self._figures[name] = float(f"{value:.4g}")
        self._console.print(f"  [bold]{name}[/] {value:.3g}")

    def note(self, name: str, value: float) -> None:
        """Keeps an absolute number that belongs to this machine."""
        self._notes[name] = float(f"{value:.4g}")

    def progress(self, text: str) -> None:
        """Says what is being measured."""
        self._console.print(f"[dim]{text}[/]")

    @contextlib.contextmanager
    def bar(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """Shows how far long work has come."""
        with progress.Progress(console=self._console) as shown:
            task = shown.add_task(text, total=total)
            yield lambda steps: shown.advance(task, steps)

    def write(self) -> None:
        """Writes the results and prints them as a table."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / "latest.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        figures = kept.get("figures", {}) | self._figures
        notes = kept.get("absolute", {}) | self._notes
        today = dict.fromkeys([*self._figures, *self._notes], _today())
        measured = kept.get("measured", {}) | today
        content = {
            "figures": dict(sorted(figures.items())),
            "absolute": dict(sorted(notes.items())),
            "measured": dict(sorted(measured.items())),
            "machine": machine(),
        }
        path.write_text(json.dumps(content, indent=2) + "\n")
        (RESULTS / "latest.md").write_text(markdown(content))
        console.Console().print(shown_table(content["figures"]))


def machine() -> dict[str, str]:
    """Returns what the numbers depend on."""
    cpu = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    return {
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }


def _today() -> str:
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def bound(name: str) -> str:
    """Returns the bound of a figure as text, empty if it has none."""
    if name not in BOUNDS:
        return ""
    sign, value = BOUNDS[name]
    return f"{sign} {value:g}"


def shown_table(figures: dict[str, float]) -> table.Table:
    """Returns the figures as a table for a terminal."""
    shown = table.Table("figure", table.Column("value", justify="right"), "bound")
    for name, value in figures.items():
        shown.add_row(name, f"{value:g}", bound(name))
    return shown


def markdown(content: dict[str, dict[str, object]]) -> str:
    """Returns the results as Markdown."""
    where, days = content["machine"], content["measured"]
    lines = [
        "# Results of the last `make bench`",
        "",
        f"{where['cpu']}, {where['cores']} cores, Python {where['python']}.",
        "",
        "| figure | value | bound | measured |",
        "|---|---:|---|---|",
    ]
    lines += [f"| {n} | {v} | {bound(n)} | {days[n]} |" for n, v in content["figures"].items()]
    lines += ["", "| absolute, this machine | value | measured |", "|---|---:|---|"]
    lines += [f"| {n} | {v} | {days[n]} |" for n, v in content["absolute"].items()]
    return "\n".join(lines) + "\n"
