"""What the commands on things that are kept at a provider have in common.

Owns running such a command, its display and what its result means for the exit code. Called
by the command modules of payment methods, plans, subscriptions, invoices, checkouts and
disputes. Never guesses: what the provider did not confirm is undecided.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import rich.text
import typer
from google.protobuf import message
from payhub.payments.v1 import mirror_pb2, payment_pb2

import payhub_client
from payctl import payments, render, session

Cell = str | rich.text.Text
Client = payhub_client.Client


class Entity(Protocol):
    """A message with an identifier."""

    id: str


class Enum(Protocol):
    """A generated enum."""

    def items(self) -> Sequence[tuple[str, int]]:
        """Return names and numbers."""


_T = TypeVar("_T", bound=Entity)
_P = TypeVar("_P", bound=render.Page)
_Call = Callable[[Client, str, float | None], Awaitable[_T]]


def labels(enum: Enum, prefix: str) -> dict[int, str]:
    """Return the names of an enum's values for people, without their prefix."""
    return {value: name.removeprefix(prefix) for name, value in enum.items()}


_SYNC_STATES = labels(mirror_pb2.SyncState, "SYNC_STATE_")
_UNDECIDED = {mirror_pb2.SYNC_STATE_PENDING, mirror_pb2.SYNC_STATE_IN_DOUBT}


def chosen(enum: Enum, prefix: str, text: str, *, what: str) -> int:
    """Return the value that an option names in any case; empty is 0.

    Raises typer.BadParameter that names every choice.
    """
    choices = {name.removeprefix(prefix).lower(): value for name, value in enum.items() if value}
    if text and text.lower() not in choices:
        wrong = f"{text!r} is no {what}; choose one of {', '.join(choices)}"
        raise typer.BadParameter(wrong)
    return choices.get(text.lower(), 0)


def of_sync(mirror: mirror_pb2.Mirror) -> session.Exit:
    """Return what became of the newest operation at the provider."""
    if mirror.sync_state == mirror_pb2.SYNC_STATE_SYNCED:
        return session.Exit.OK
    failed = mirror.sync_state == mirror_pb2.SYNC_STATE_FAILED
    return session.Exit.REFUSED if failed else session.Exit.UNDECIDED


def at_provider(mirror: mirror_pb2.Mirror) -> dict[str, Cell]:
    """Return where something is at the provider, for `render.fields`."""
    return {
        "provider": mirror.provider,
        "at the provider": mirror.provider_object_id,
        "sync": sync(mirror),
        "sync failure": payments.failure_text(mirror.failure),
        "provider's time": render.moment(mirror.provider_time),
    }


def sync(mirror: mirror_pb2.Mirror) -> rich.text.Text:
    """Return what became of the newest operation, in its colour."""
    return render.state(_SYNC_STATES.get(mirror.sync_state, str(mirror.sync_state)))


def metadata(found: Mapping[str, str]) -> str:
    """Return the caller's own values in one line."""
    return ", ".join(f"{key}={text}" for key, text in sorted(found.items()))


def action(found: payment_pb2.CustomerAction) -> dict[str, Cell]:
    """Return what a payer has to do, for `render.fields`."""
    return {"payer must go to": found.redirect_url}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[_T]):
    """One kind of thing, as its command group treats it."""

    group: str
    """Name of the command group."""
    fields: Callable[[_T], Mapping[str, Cell]]
    """What `show` writes for people."""
    columns: Sequence[str]
    """Headings of `list`, as for `render.table`."""
    row: Callable[[_T], Sequence[Cell]]
    """One line of `list`."""
    mirrors: Callable[[_T], Iterable[mirror_pb2.Mirror]]
    """Where it is at providers."""
    meaning: Callable[[_T], session.Exit]
    """What a mutation's answer means for the exit code."""

    def change(
        self,
        ctx: typer.Context,
        call: _Call[_T],
        *,
        key: str | None,
        as_json: bool,
        meaning: Callable[[_T], session.Exit] | None = None,
    ) -> None:
        """Run a mutation, write what it made of the thing, and end with its exit code.

        `call` gets client, idempotency key and overall time in seconds; `meaning` stands in
        for the kind's own.
        """
        once = key or payhub_client.new_key()

        async def work(client: Client) -> session.Exit:
            found = await call(client, once, session.timeout_s(ctx))
            code = (meaning or self.meaning)(found)
            self.write(found, as_json=as_json)
            if not as_json:
                self._advise(found, code, once)
            return code

        session.run(ctx, work, as_json=as_json, key=once, look=self.look)

    def show(
        self,
        ctx: typer.Context,
        call: Callable[[Client, float | None], Awaitable[_T]],
        *,
        as_json: bool,
    ) -> None:
        """Run a read of one thing and write it."""

        async def work(client: Client) -> session.Exit:
            found = await call(client, session.timeout_s(ctx))
            self.write(found, as_json=as_json)
            return session.Exit.OK

        session.run(ctx, work, as_json=as_json)

    def list(
        self,
        ctx: typer.Context,
        call: Callable[[Client, float | None], Awaitable[_P]],
        items: Callable[[_P], Iterable[_T]],
        *,
        as_json: bool,
    ) -> None:
        """Run the read of one page and write it, with how to get the next one."""

        async def work(client: Client) -> session.Exit:
            page = await call(client, session.timeout_s(ctx))
            render.page(
                page, self.columns, (self.row(each) for each in items(page)), as_json=as_json
            )
            return session.Exit.OK

        session.run(ctx, work, as_json=as_json)

    @property
    def look(self) -> str:
        """How to look at one."""
        return f"payctl {self.group} show"

    def write(self, found: _T, *, as_json: bool) -> None:
        """Write one thing."""
        if as_json:
            assert isinstance(found, message.Message)
            render.document(render.to_dict(found))
        else:
            render.fields(self.fields(found))

    def _advise(self, found: _T, code: session.Exit, key: str) -> None:
        look = f"`{self.look} {found.id}`"
        if code is session.Exit.REFUSED:
            render.note(
                "the provider refused it or was not reached: nothing was changed there; "
                "correct the cause and run the command again with a new key"
            )
        elif code is session.Exit.UNDECIDED:
            in_doubt = any(each.sync_state in _UNDECIDED for each in self.mirrors(found))
            why = "the provider has not confirmed it yet" if in_doubt else "it is not settled yet"
            render.note(f"{why}: wait and look at it with {look}; do not repeat it with a new key")
            render.note(f"--key {key} repeats it safely")
