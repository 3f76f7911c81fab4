"""Shows a running demo: progress, events by type, the newest events, and the summary.

Owns what is printed, live on a terminal and as plain lines elsewhere. Called by the demo.
Never changes what it shows.
"""

import collections
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import iso4217
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import customer_service_pb2, payment_events_pb2, payment_pb2
from rich import box, console, live, panel, progress_bar, table, text

from examples.demo import verify

LAST_EVENTS = 10
MOST_SHOWN = 50
# Wide enough for the tables where there is no terminal to ask.
PLAIN_WIDTH = 120
REFRESH_PER_S = 10
PLAIN_STEPS = 10
COLORS = {
    "succeeded": "green",
    "captured": "green",
    "authorized": "cyan",
    "failed": "red",
    "in_doubt": "yellow",
    "resolved": "yellow",
    "canceled": "magenta",
    "paid": "green",
    "activated": "green",
    "past_due": "red",
    "payment_failed": "red",
    "opened": "yellow",
}


def decimal(amount_minor: int, currency: str) -> str:
    """Returns an amount as people write it: `1050` for JPY, `1.050` for KWD."""
    exponent = iso4217.Currency(currency).exponent or 0
    if exponent == 0:
        return str(amount_minor)
    whole, part = divmod(amount_minor, 10**exponent)
    return f"{whole}.{part:0{exponent}}"


def describe(event: event_pb2.Event) -> str:
    """Returns one line about an event: whose it is, how much, and what it led to."""
    if event.entity_type == "customer":
        customer = customer_service_pb2.Customer
        after = payment_events_pb2.CustomerEvent.FromString(event.data).customer
        state = customer.SyncState.Name(after.sync_state).removeprefix("SYNC_STATE_")
        return f"{after.profile.name}: {state}"
    if event.data_schema != payment_events_pb2.PaymentEvent.DESCRIPTOR.full_name:
        return f"{event.entity_id}  v{event.entity_version}"
    change = payment_events_pb2.PaymentEvent.FromString(event.data)
    payment = change.payment
    amount = change.refund.amount if change.HasField("refund") else payment.amount
    state = payment_pb2.Payment.State.Name(payment.state).removeprefix("STATE_")
    shown = f"{amount.currency_code} {decimal(amount.amount_minor, amount.currency_code)}"
    whose = payment.references.order_id or payment.invoice_id
    return f"{whose}  {shown}  {state} v{event.entity_version}"


def make_console() -> console.Console:
    """Returns where to print: the terminal as wide as it is, anything else wide enough."""
    out = console.Console(highlight=False)
    return out if out.is_terminal else console.Console(highlight=False, width=PLAIN_WIDTH)


class Board:
    """What is shown while orders are paid. Use as a context manager."""

    def __init__(self, out: console.Console, *, orders: int, subscriptions: int = 0) -> None:
        self._out = out
        self._orders = orders
        self._subscriptions = subscriptions
        self._lived = 0
        self._done = 0
        self._types: collections.Counter[str] = collections.Counter()
        self._last: collections.deque[event_pb2.Event] = collections.deque(maxlen=LAST_EVENTS)
        self._began_s = time.monotonic()
        self._live = live.Live(self, console=out, refresh_per_second=REFRESH_PER_S, transient=False)

    def __enter__(self) -> Self:
        """Starts the live display on a terminal; elsewhere lines are printed as it goes."""
        if self._out.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the live display and leaves its last picture."""
        if self._out.is_terminal:
            self._live.stop()

    def event(self, event: event_pb2.Event) -> None:
        """Counts an event that arrived at the subscriber."""
        self._types[event.type] += 1
        self._last.append(event)

    def order_done(self) -> None:
        """Counts an order that has come to its end."""
        self._done += 1
        step = max(1, self._orders // PLAIN_STEPS)
        if not self._out.is_terminal and (self._done % step == 0 or self._done == self._orders):
            newest = f", newest {self._last[-1].type}" if self._last else ""
            self._out.print(
                f"{self._elapsed()}  orders {self._done}/{self._orders}, "
                f"events {self._types.total()}{newest}"
            )

    def subscriptions_begin(self, count: int, days: int) -> None:
        """Says that the orders are through and time begins to pass."""
        if not self._out.is_terminal:
            self._out.print(f"{self._elapsed()}  {count} subscriptions, {days} days to come")

    def subscription_done(self) -> None:
        """Counts a subscription that has come to its end."""
        self._lived += 1
        if not self._out.is_terminal and self._lived == self._subscriptions:
            self._out.print(f"{self._elapsed()}  subscriptions {self._lived}/{self._subscriptions}")

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began_s:5.1f} s"

    def __rich__(self) -> console.RenderableType:
        """Returns the picture of this moment."""
        bar = table.Table.grid(padding=(0, 1))
        bar.add_row(
            "orders",
            progress_bar.ProgressBar(total=self._orders, completed=self._done, width=40),
            f"{self._done}/{self._orders}",
            self._elapsed(),
            f"{self._types.total()} events",
        )
        if self._subscriptions:
            bar.add_row(
                "subscriptions",
                progress_bar.ProgressBar(
                    total=self._subscriptions, completed=self._lived, width=40
                ),
                f"{self._lived}/{self._subscriptions}",
            )
        counts = table.Table.grid(padding=(0, 2))
        for kind, count in sorted(self._types.items()):
            counts.add_row(text.Text(kind, style=_color(kind)), str(count))
        lines = table.Table.grid(padding=(0, 2))
        lines.add_column(no_wrap=True)
        lines.add_column(no_wrap=True, overflow="ellipsis")
        for event in self._last:
            lines.add_row(text.Text(event.type, style=_color(event.type)), describe(event))
        both = table.Table.grid(padding=(0, 1), expand=True)
        both.add_column()
        both.add_column(ratio=1)
        both.add_row(
            panel.Panel(counts, title="events by type"),
            panel.Panel(lines, title="newest events", height=LAST_EVENTS + 2),
        )
        return console.Group(bar, both)


def _color(kind: str) -> str:
    return COLORS.get(kind.rpartition(".")[2], "default")


def summary(
    totals: Mapping[str, verify.Totals], states: Mapping[str, tuple[int, int]]
) -> list[table.Table]:
    """Returns the tables of the result: payments by state, and sums by currency.

    Args:
        totals: sums by currency.
        states: how many orders were expected to end in a state, and how many did.
    """
    by_state = table.Table(title="orders by final state")
    for heading in ("state", "expected", "actual"):
        by_state.add_column(heading, justify="left" if heading == "state" else "right")
    for state, (expected, actual) in sorted(states.items()):
        style = "" if expected == actual else "red"
        by_state.add_row(state, str(expected), str(actual), style=style)
    by_currency = table.Table(
        title="Payhub and the provider's ledger",
        caption="in doubt: booked by the provider, not counted by Payhub until a person decides",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    by_currency.add_column()
    for heading in ("payments", "captured", "ledger", "in doubt", "refunded", "ledger", "in doubt"):
        by_currency.add_column(heading, justify="right", no_wrap=True)
    by_currency.add_column("equal")
    for code, sums in totals.items():
        shown = (
            decimal(sums.captured, code),
            decimal(sums.ledger_captured, code),
            decimal(sums.doubt_captured, code) if sums.doubt_captured else "",
            decimal(sums.refunded, code),
            decimal(sums.ledger_refunded, code),
            decimal(sums.doubt_refunded, code) if sums.doubt_refunded else "",
        )
        equal, style = ("yes", "") if sums.equal else ("NO", "red")
        by_currency.add_row(code, str(sums.payments), *shown, equal, style=style)
    return [by_state, by_currency]


def differences(problems: Mapping[str, Sequence[str]]) -> list[text.Text]:
    """Returns a line for each thing that is not as it should be, the first so many of them."""
    lines = [f"{where}: {problem}" for where, found in problems.items() for problem in found]
    more = [f"... and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    return [text.Text(line, style="red") for line in [*lines[:MOST_SHOWN], *more]]
