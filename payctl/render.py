"""Output: tables and colours for people on stdout, JSON for programs, errors on stderr.

Owns every byte that payctl writes. Called by the command modules. Never trusts a text of a
payment to be harmless: control characters and markup are shown, not interpreted.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

import rich.console
import rich.table
import rich.text
import typer
from google.protobuf import json_format, message, timestamp_pb2

import payhub_client
from payctl import exceeding
from payhub_client import errors

_STATE_STYLES = {
    "SUCCEEDED": "green",
    "SYNCED": "green",
    "AUTHORIZED": "cyan",
    "CREATED": "blue",
    "PROCESSING": "yellow",
    "PENDING": "yellow",
    "IN_FLIGHT": "yellow",
    "REQUIRES_ACTION": "yellow",
    "FAILED": "red",
    "DECLINED": "red",
    "NOT_SENT": "red",
    "CANCELED": "dim",
    "SUPERSEDED": "dim",
    "IN_DOUBT": "bold magenta",
    "ACTIVE": "green",
    "TRIALING": "cyan",
    "PAST_DUE": "bold red",
    "PAUSED": "yellow",
    "DETACHED": "dim",
    "ARCHIVED": "dim",
    "DRAFT": "blue",
    "OPEN": "yellow",
    "PAID": "green",
    "UNCOLLECTIBLE": "red",
    "VOID": "dim",
    "COMPLETED": "green",
    "EXPIRED": "dim",
    "WARNING": "yellow",
    "NEEDS_RESPONSE": "bold yellow",
    "UNDER_REVIEW": "yellow",
    "WON": "green",
    "LOST": "red",
    "WARNING_CLOSED": "dim",
}

# Where no terminal says how wide it is, nothing is folded: programs read it line by line.
_PIPE_WIDTH = 100_000
# To what a column of texts is folded at most.
_TEXT_MIN = 20

_ANEW = "begin anew with --from-start (`events query`: without --after)"
_ADVICE: Mapping[type[errors.PayhubError], str] = {
    errors.InvalidRequest: "correct the value and run the command again",
    errors.NotFound: "check the id, and that the API key belongs to the right tenant",
    errors.StateConflict: "look at it with `payctl show`: it lists what is possible now",
    errors.AmountExceeded: "ask for less; `payctl show` lists what is left",
    errors.NotSupported: "choose another provider; `payctl status` lists them",
    errors.KeyReused: "leave --key out, or give a new one",
    errors.KeyInFlight: "wait a moment and repeat the command with the same --key",
    errors.Unauthenticated: "check PAYHUB_KEY or PAYHUB_KEY_FILE; `payctl keys create` makes a key",
    errors.PermissionDenied: "use an API key with that scope; `payctl keys create` makes one",
    errors.RateLimited: "wait a moment and repeat the command",
    errors.Unavailable: "check that it runs there; --target and --events-target say where it is",
    errors.DeadlineExceeded: "repeat the command, with a longer --timeout",
    errors.OutcomeUnknown: "do not pay again: repeat the command with the same --key",
    errors.Internal: "this is a bug in Payhub; its log has details under the request id",
    errors.CursorInvalid: f"copy a cursor as payctl printed it, or {_ANEW}",
    errors.CursorAhead: f"the cursor is from another log; {_ANEW}",
    errors.CursorExpired: f"events were deleted since; {_ANEW}",
    errors.LogEpochMismatch: f"the log was rebuilt; look with `payctl list`, then {_ANEW}",
}

_LOOK_AT_PLUGIN = "look at it with `payctl plugins show` and `payctl plugins health`"
# Where the class of an error says less than its reason.
_REASON_ADVICE: Mapping[str, str] = {
    "USAGE": "correct the command line; --help behind the command says what it takes",
    "PLUGIN_UNKNOWN": "`payctl plugins list` names those that are allowed",
    "PLUGIN_EXISTS": _LOOK_AT_PLUGIN,
    "PLUGIN_STATE_CONFLICT": _LOOK_AT_PLUGIN,
    "PLUGIN_DEPENDENCY": _LOOK_AT_PLUGIN,
    "PLUGIN_QUARANTINED": "find out why with `payctl plugins history`, then `plugins release`",
    "PLUGIN_FAILED": _LOOK_AT_PLUGIN,
    "INSTANCE_UNREACHABLE": "check that it runs and that core reaches its endpoint",
    "INSTANCE_CONFLICT": _LOOK_AT_PLUGIN,
    "IDENTITY_MISMATCH": "another process answers at that endpoint; check addresses and versions",
    "REPORT_REQUIRED": "run payhub-conform and store its report with `payctl plugins report`",
    "UPGRADE_REFUSED": "mend what it names and run the command again; --dry-run changes nothing",
    "STALE_GENERATION": "somebody changed it meanwhile; look at it, then repeat the command",
    "BINDING_EXISTS": "change it with `payctl bindings update`",
    "BINDING_IN_USE": "wait until its open operations have ended; `payctl status` counts them",
    "BINDING_UNKNOWN": "`payctl bindings list` shows what there is, `bindings create` makes one",
    "PROVIDER_DISABLED": "see it with `payctl plugins list` and `payctl bindings list`",
    "FEATURE_DISABLED": "`payctl bindings show` lists what is switched off",
    "KILL_SWITCH_ACTIVE": "`payctl plugins kills` says who set it and why",
    "PERMISSION_NOT_GRANTED": "grant it with `payctl plugins allow --permission`",
    "VERSION_UNKNOWN": "`payctl plugins show` lists those that were seen; start an instance of it",
    "SEAL_INVALID": "give the passphrase that it was exported with",
    "LIMIT_EXCEEDED": "`payctl bindings show` lists the limits",
    "CONSUMER_EXISTS": "see it with `payctl events consumers show`, or choose another name",
    "WEBHOOK_ENDPOINT_DISABLED": "`payctl webhooks out enable` it first, then send again",
    "ENCRYPTION_KEY_MISSING": "give the process the key that the secrets were encrypted under",
}


class Page(Protocol):
    """A response that holds a part of a list."""

    next_page_token: str


class _Screen(rich.console.Console):
    def on_broken_pipe(self) -> None:
        """Let the command decide what a closed output means."""
        raise  # called where the error is handled


def console() -> rich.console.Console:
    """Return the console for results."""
    screen = _Screen(highlight=False, markup=False)
    return (
        screen if screen.is_terminal else _Screen(highlight=False, markup=False, width=_PIPE_WIDTH)
    )


def give_up_stdout() -> None:
    """Have what is still to be written to stdout vanish, so that ending does not fail."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plain(text: str) -> str:
    """Return `text` with everything that a terminal would obey made visible."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def to_dict(found: message.Message) -> dict[str, object]:
    """Return a message in protobuf's JSON mapping, with the contract's field names."""
    return json_format.MessageToDict(
        found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def document(content: Mapping[str, object]) -> None:
    """Write one JSON document."""
    typer.echo(_json(content, indent=2))


def line(content: Mapping[str, object]) -> None:
    """Write one JSON line."""
    typer.echo(_json(content))


def note(text: str) -> None:
    """Tell people something beside the result, on stderr."""
    typer.echo(plain(text), err=True)


def more(page_token: str) -> None:
    """Tell how to go on, after a table whose listing has another page; "" if it has none."""
    if page_token:
        note(f"more: --page-token {page_token}")


def failure(found: errors.PayhubError, *, as_json: bool, look: str = "payctl show") -> None:
    """Tell what went wrong and what to do next, on stderr.

    `look` is the command that shows the thing it went wrong with.
    """
    advice = advice_on(found).replace("`payctl show`", f"`{look}`")
    amounts = exceeding.told(found)
    if as_json:
        content = {
            "error": {
                "reason": found.reason or type(found).__name__,
                "message": amounts or found.message,
                "retry": found.retry,
                "fields": {each.path: each.description for each in found.field_violations},
                "metadata": found.metadata,
                "request_id": found.request_id,
                "idempotency_key": found.idempotency_key,
                "next": advice,
            }
        }
        typer.echo(_json(content), err=True)
        return
    screen = rich.console.Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    screen.print(rich.text.Text.assemble(("error: ", "bold red"), plain(amounts or found.message)))
    for each in found.violations_not_in_message():
        screen.print(f"  {plain(each.path)}: {plain(each.description)}")
    for name, content_text in found.metadata.items():
        if amounts and exceeding.is_told(name):
            continue
        screen.print(f"  {plain(name)}: {plain(content_text)}")
    if found.idempotency_key and found.retry == "same_key":
        screen.print(f"  --key {plain(found.idempotency_key)}")
    if found.request_id:
        screen.print(f"  request: {plain(found.request_id)}")
    screen.print(f"next: {advice}")


def interrupted(found: errors.OutcomeUnknown, *, as_json: bool) -> None:
    """Tell on stderr that a command was cut off, and its key."""
    if as_json:
        failure(found, as_json=True)
    else:
        note(found.message)


def advice_on(found: errors.PayhubError) -> str:
    """Return what a person can do about an error."""
    if isinstance(found, errors.OutcomeUnknown) and not found.idempotency_key:
        if found.retry == "same_key":
            return "repeat the command: it takes effect once"
        return "look what became of it before you repeat the command"
    if found.reason in _REASON_ADVICE:
        return _REASON_ADVICE[found.reason]
    return next((_ADVICE[kind] for kind in type(found).__mro__ if kind in _ADVICE), "look again")


def state(name: str) -> rich.text.Text:
    """Return a state's name in its colour."""
    return rich.text.Text(name, style=_STATE_STYLES.get(name, ""))


def moment(stamp: timestamp_pb2.Timestamp) -> str:
    """Return a time in UTC to the millisecond; empty if it is not set."""
    if not stamp.seconds and not stamp.nanos:
        return ""
    return f"{stamp.ToDatetime().isoformat(sep=' ', timespec='milliseconds')}Z"


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str | rich.text.Text]], *, title: str = ""
) -> None:
    """Write a table; amounts and counts are right-aligned by a `>` before their column.

    What does not fit on the terminal is written row by row: an id that is broken over lines
    can't be copied.
    """
    cells = [[_cell(each) for each in row] for row in rows]
    names = [column.lstrip(">") for column in columns]
    texts = [any(" " in row[at].plain for row in cells) for at in range(len(names))]
    if _width(names, cells, texts) > console().width and cells:
        if title:
            console().print(title)
        for at, row in enumerate(cells):
            if at:
                console().print()
            fields(dict(zip(names, row, strict=True)))
        return
    found = rich.table.Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column, name, text in zip(columns, names, texts, strict=True):
        side: Literal["left", "right"] = "right" if column.startswith(">") else "left"
        found.add_column(name, justify=side, overflow="fold", no_wrap=not text)
    for row in cells:
        found.add_row(*row)
    _write(found)
    if not cells:
        console().print("(none)")


def _width(
    names: Sequence[str], rows: Sequence[Sequence[rich.text.Text]], texts: Sequence[bool]
) -> int:
    """Return how wide a table is at least, texts folded and all else whole."""
    widths = [
        max(len(name), *(row[at].cell_len for row in rows), 0) for at, name in enumerate(names)
    ]
    kept = [
        min(each, _TEXT_MIN) if text else each for each, text in zip(widths, texts, strict=True)
    ]
    return sum(kept) + 2 * (len(names) - 1)


def page(
    found: Page,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | rich.text.Text]],
    *,
    as_json: bool,
    title: str = "",
) -> None:
    """Write a page of a list: as a table, with how to go on, or whole as JSON."""
    if as_json:
        assert isinstance(found, message.Message)
        document(to_dict(found))
        return
    table(columns, rows, title=title)
    more(found.next_page_token)


def fields(content: Mapping[str, str | rich.text.Text]) -> None:
    """Write name and value pairs, leaving out what is empty."""
    found = rich.table.Table(box=None, show_header=False, pad_edge=False)
    found.add_column(style="dim", no_wrap=True)
    found.add_column(overflow="fold")
    for name, value in content.items():
        if str(value):
            found.add_row(name, _cell(value))
    _write(found)


def text_line(*parts: str | rich.text.Text) -> None:
    """Write one line of columns, however long."""
    joined = rich.text.Text("  ").join(_cell(part) for part in parts)
    console().print(joined, soft_wrap=True)


def references(found: payhub_client.Payment) -> dict[str, str]:
    """Return a payment's references for `fields`."""
    given = found.references
    return {
        "customer": given.customer_id,
        "user": given.user_id,
        "order": given.order_id,
        "subscription": given.subscription_id,
        "metadata": ", ".join(f"{key}={text}" for key, text in sorted(given.metadata.items())),
    }


def _json(content: Mapping[str, object], *, indent: int | None = None) -> str:
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    text = json.dumps(content, indent=indent, ensure_ascii=encoding not in ("utf-8", "utf8"))
    # A document has lines; all else that a terminal would obey stands in its texts.
    return "\n".join(map(_escaped, text.split("\n")))


def _escaped(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)


def _write(found: rich.table.Table) -> None:
    screen = console()
    if screen.is_terminal:
        screen.print(found)
        return
    with screen.capture() as written:
        screen.print(found)
    screen.file.write("".join(f"{each.rstrip()}\n" for each in written.get().splitlines()))
    screen.file.flush()


def _cell(value: str | rich.text.Text) -> rich.text.Text:
    return value if isinstance(value, rich.text.Text) else rich.text.Text(plain(value))
