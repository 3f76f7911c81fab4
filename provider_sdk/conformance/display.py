"""What a person sees while the checks run, and at the end.

Owns the progress bar and the table; plain lines where there is no terminal.
Called by the command. Never the only place where something is said: the
report holds it all.
"""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich import console as rich_console
from rich import markup, progress, table

from provider_sdk.conformance import checks, reports, results

TITLE_CHARS = 60
_STYLES = {
    results.Outcome.PASSED: "green",
    results.Outcome.FAILED: "red",
    results.Outcome.NOT_PROVEN: "yellow",
}


class Display:
    """Shows each check as it ends; an Observer of the run.

    Args:
        total: How many checks there are.
    """

    def __init__(self, *, total: int) -> None:
        self._console = rich_console.Console(file=sys.stderr)
        self._total = total
        self._bar: progress.Progress | None = None
        self._task = progress.TaskID(0)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar = progress.Progress(
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.description}"),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=self._total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def started(self, check: checks.Check) -> None:
        """Names the check that runs."""
        if self._bar is not None:
            title = markup.escape(f"{check.check_id} {check.title[:TITLE_CHARS]}")
            self._bar.update(self._task, description=title)

    def finished(self, result: results.Result) -> None:
        """Counts the check; without a terminal, prints its line."""
        if self._bar is not None:
            self._bar.advance(self._task)
        else:
            sys.stderr.write(f"{reports.line(result)}\n")
            sys.stderr.flush()


def conclude(report: results.Report, problems: Sequence[str]) -> None:
    """Prints the table (on a terminal), every failure in full, and the conclusion.

    Args:
        report: What was found.
        problems: Why the command fails, if it does.
    """
    console = rich_console.Console()
    if console.is_terminal:
        console.print(_table(report))
    lines: list[str] = []
    for one in report.failed:
        lines += ["", reports.line(one).strip(), reports.explain(one)]
    lines += ["", reports.summary(report), *problems, _conclusion(report, problems)]
    for text in lines:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _conclusion(report: results.Report, problems: Sequence[str]) -> str:
    if problems:
        return "not conformant; correct what is named above and run it again"
    if report.is_partial:
        return "a partial run proves nothing by itself; run it without --only for a report"
    if not report.passed:
        return "tolerated, but the report does not pass; mend the expected failures"
    if report.unproven:
        return (
            f"conformant as far as could be seen; {len(report.unproven)} rule(s) not proven: "
            "see above what would prove them"
        )
    return "conformant"


def _table(report: results.Report) -> table.Table:
    shown = table.Table(title=markup.escape(f"{report.plugin_id} {report.plugin_version}"))
    shown.add_column("check", justify="right")
    shown.add_column("level")
    shown.add_column("outcome")
    shown.add_column("rule and remark")
    shown.add_column("s", justify="right")
    for one in report.results:
        remark = "; ".join((*((one.reason,) if one.reason else ()), *one.notes))
        text = f"{one.check.title}\n{remark}" if remark else one.check.title
        shown.add_row(
            one.check_id,
            one.check.level.value,
            one.outcome.value.replace("_", " "),
            markup.escape(text),
            f"{one.seconds:.1f}",
            style=_STYLES[one.outcome],
        )
    return shown
