"""What every command shares: where to connect, with which key, and how to end.

Owns finding targets and the API key, running one command against a client, and turning its
result or error into an exit code. Called by the command modules. Never prints a key.
"""

import asyncio
import contextlib
import enum
import errno
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import payhub_client
from payctl import render, trust
from payhub_client import errors

DEV_KEY_FILE = Path("var/dev.key")
INT64_MAX = 2**63 - 1
_KEY_BYTES_MAX = 4096

JsonFlag = Annotated[bool, typer.Option("--json", help="Write JSON for programs.")]
PageToken = Annotated[str, typer.Option(help="next_page_token of the page before.")]


def _not_empty(key: str | None) -> str | None:
    if key == "":
        wrong = "the key is empty; leave --key out to have one made"
        raise typer.BadParameter(wrong)
    return key


KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        callback=_not_empty,
        help="Idempotency key; the same one repeats an earlier command safely.",
    ),
]


class Exit(enum.IntEnum):
    """Exit codes of payctl."""

    OK = 0
    ERROR = 1
    USAGE = 2
    REFUSED = 3
    UNDECIDED = 4


class _Terminated(Exception):
    """The process was asked to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where commands connect, as given by options and the environment."""

    target: str
    events_target: str
    key_file: Path | None
    timeout_s: float | None
    tls: trust.Files

    def client(self) -> payhub_client.Client:
        """Return a client. Raises typer.BadParameter without a usable API key or TLS files."""
        key = find_key(self.key_file, os.environ)
        try:
            return payhub_client.Client(
                self.target,
                key=key,
                events_target=self.events_target,
                credentials=self.tls.credentials(),
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


def find_key(key_file: Path | None, env: Mapping[str, str]) -> str:
    """Return the API key: of `key_file`, PAYHUB_KEY, PAYHUB_KEY_FILE or ./var/dev.key.

    Raises typer.BadParameter if there is none, or the file can't be read.
    """
    named = env.get("PAYHUB_KEY", "").strip()
    if key_file is None and named:
        return named
    path = key_file or Path(env.get("PAYHUB_KEY_FILE", "").strip() or DEV_KEY_FILE)
    if path == DEV_KEY_FILE and not path.exists():
        text = (
            "no API key: set PAYHUB_KEY, or PAYHUB_KEY_FILE, or run payctl where the payment "
            f"service has written {DEV_KEY_FILE}"
        )
        raise typer.BadParameter(text)
    try:
        with path.open(encoding="ascii") as file:
            return file.read(_KEY_BYTES_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not an API key"
        text = f"the API key file {path} can't be read: {why}"
        raise typer.BadParameter(text) from None


def run(
    ctx: typer.Context,
    command: Callable[[payhub_client.Client], Awaitable[Exit]],
    *,
    as_json: bool,
    key: str = "",
    look: str = "payctl show",
) -> None:
    """Run `command` with a client and end with its exit code; errors go to stderr.

    `key` is the idempotency key of a mutation: whoever interrupts it learns how to find out
    what became of it. `look` is the command that errors advise to look with.
    """
    connection = _connection(ctx)

    async def connected() -> Exit:
        async with connection.client() as client:
            return await command(client)

    try:
        code = asyncio.run(_until_terminated(connected()) if key else connected())
    except errors.PayhubError as failure:
        render.failure(failure, as_json=as_json, look=look)
        raise typer.Exit(code_of(failure)) from None
    except (KeyboardInterrupt, _Terminated):
        if not key:
            raise
        cut_off = errors.OutcomeUnknown(
            f"interrupted, and it may take effect: repeat the command with --key {key}",
            retry="same_key",
            idempotency_key=key,
        )
        render.interrupted(cut_off, as_json=as_json)
        raise typer.Exit(Exit.UNDECIDED) from None
    except UnicodeEncodeError:
        wrong = "a value given on the command line is not UTF-8 text"
        raise typer.BadParameter(wrong) from None
    except OSError as failure:
        # Nothing but writing the result is left to fail, and that undoes nothing.
        raise _unwritten(failure, key) from None
    raise typer.Exit(code)


async def _until_terminated(command: Awaitable[Exit]) -> Exit:
    """Return the exit code of `command`; raises _Terminated if SIGTERM comes before."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    came = asyncio.Event()

    def stop() -> None:
        came.set()
        task.cancel()

    # Not where signals can't be handled: on Windows, and beside the main thread.
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGTERM, stop)
    try:
        return await command
    except asyncio.CancelledError:
        if came.is_set():
            raise _Terminated from None
        raise


def _unwritten(failure: OSError, key: str) -> Exception:
    """Return how a command ends whose result could not be written."""
    if not key and failure.errno == errno.EPIPE:
        return failure
    render.give_up_stdout()
    why = f"the result can't be written: {failure.strerror}"
    if not key:
        render.note(why)
        return typer.Exit(Exit.ERROR)
    render.note(f"{why}; it may have taken effect: repeat the command with --key {key}")
    return typer.Exit(Exit.UNDECIDED)


def ask(question: str, *, as_json: bool) -> None:
    """End the command unless a person says yes; with --json there is none to ask."""
    if as_json:
        wrong = "with --json nobody is asked whether this is meant: give --yes"
        raise typer.BadParameter(wrong)
    typer.confirm(question, abort=True, err=True)


def timeout_s(ctx: typer.Context) -> float | None:
    """Return the time that every call of a command may take, as `--timeout` says."""
    return _connection(ctx).timeout_s


def _connection(ctx: typer.Context) -> Connection:
    connection = ctx.obj
    assert isinstance(connection, Connection)
    return connection


def code_of(failure: errors.PayhubError) -> Exit:
    """Return the exit code of an error."""
    if isinstance(failure, errors.OutcomeUnknown | errors.KeyInFlight):
        return Exit.UNDECIDED
    if isinstance(failure, errors.Internal) and failure.idempotency_key:
        return Exit.UNDECIDED
    return Exit.ERROR


def pairs(entries: list[str] | None) -> dict[str, str]:
    """Return `k=v` entries as a mapping. Raises typer.BadParameter for another form."""
    found: dict[str, str] = {}
    for entry in entries or []:
        key, equals, text = entry.partition("=")
        if not key or not equals:
            message = f"{entry!r} is not of the form key=value"
            raise typer.BadParameter(message)
        if key in found:
            message = f"{key!r} is given twice"
            raise typer.BadParameter(message)
        found[key] = text
    return found
