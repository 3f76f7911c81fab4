"""The state of the double: objects by account, what lies behind them, events, the ledger.

Owns memory and its snapshot in a file. Called by every handler. Never decides what Stripe
would answer.
"""

import contextlib
import dataclasses
import json
import pathlib
import secrets
from collections.abc import Iterator
from typing import Any

from tests.stripe_double import clock as clocks
from tests.stripe_double import errors

Json = dict[str, Any]

API_VERSION = "2026-10-28.endive"
DEFAULT_KEY = "sk_test_payhub_double"
MAIN_ACCOUNT = "acct_1PayhubDouble"
CONNECTED_ACCOUNT = "acct_1PayhubConnected"

_LETTERS = str.maketrans("-_", "xY")


def mint(prefix: str, length: int = 24) -> str:
    """Returns a new id such as `pi_` and random letters."""
    return f"{prefix}_{secrets.token_urlsafe(length)[:length].translate(_LETTERS)}"


def copied(item: Json) -> Json:
    """Returns a deep copy of something that is JSON; copy.deepcopy takes five times as long."""
    copy: Json = json.loads(json.dumps(item))
    return copy


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The request that changes are made for; empty while timers run."""

    request_id: str | None = None
    key: str | None = None
    metadata: Json = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True, kw_only=True)
class Settings:
    """What tests may set.

    Attributes:
        search_lag_s: How long a new object stays invisible to search.
        settle_s: How long a bank debit is processing.
        retry_days: When a failed renewal is tried again, counted from each failure.
        dunning_end: What a subscription becomes when no try is left: canceled, unpaid or
            past_due.
        api_versions: The versions that requests may name.
    """

    search_lag_s: float = 10.0
    settle_s: float = 180.0
    retry_days: list[int] = dataclasses.field(default_factory=lambda: [3, 5, 7])
    dunning_end: str = "canceled"
    api_versions: list[str] = dataclasses.field(default_factory=lambda: [API_VERSION])


class World:
    """Everything that the double knows."""

    def __init__(self) -> None:
        self.clock = clocks.Clock()
        self.settings = Settings()
        self.address = ""
        self.objects: dict[str, dict[str, Json]] = {}
        self.hidden: dict[str, Json] = {}
        self.keys: dict[str, Json] = {DEFAULT_KEY: {"account": MAIN_ACCOUNT, "state": "active"}}
        self.connected: list[str] = [CONNECTED_ACCOUNT]
        self.answers: dict[str, Json] = {}
        self.ledger: list[Json] = []
        self.requests: list[Json] = []
        self.outbox: list[Json] = []
        self.faults: list[Json] = []
        self.declines: list[str] = []
        self.pausing: list[Json] = []
        self.faulted: set[str] = set()
        self.deliveries: list[Json] = []
        self.endpoints: list[Json] = []
        self.cause = Cause()
        self.changes = 0

    # Objects.

    def add(self, account: str, item: Json, **behind: Any) -> Json:
        """Keeps a new object, and what lies behind it that the API doesn't show."""
        self.objects.setdefault(account, {})[item["id"]] = item
        self.hidden[item["id"]] = {"account": account, "made_s": self.clock.exact_s(), **behind}
        self.changes += 1
        return item

    def drop(self, account: str, identifier: str) -> None:
        """Forgets an object."""
        self.objects[account].pop(identifier)
        self.hidden.pop(identifier)

    def find(self, account: str, kind: str, identifier: str | None) -> Json | None:
        """Returns the object of that kind and id in the account, or None."""
        item = self.objects.get(account, {}).get(identifier or "")
        return item if item is not None and item["object"] == kind else None

    def get(self, account: str, kind: str, identifier: str, param: str = "id") -> Json:
        """Returns the object of that kind and id.

        Raises:
            errors.Refusal: There is none in this account.
        """
        item = self.find(account, kind, identifier)
        if item is None:
            raise errors.no_such(kind.replace(".", "_"), identifier, param)
        return item

    def all(self, account: str, kind: str) -> list[Json]:
        """Returns the objects of a kind, newest first."""
        items = self.objects.get(account, {}).values()
        return [item for item in reversed(list(items)) if item["object"] == kind]

    def behind(self, identifier: str) -> Json:
        """Returns what lies behind an object; changes to it are kept."""
        return self.hidden[identifier]

    # What happened.

    @contextlib.contextmanager
    def caused_by(self, cause: Cause) -> Iterator[None]:
        """Attributes the events and effects inside to a request."""
        before, self.cause = self.cause, cause
        try:
            yield
        finally:
            self.cause = before

    def record(self, effect: str, item: Json, **more: Any) -> None:
        """Enters an effect, such as `charged`, into the ledger."""
        self.ledger.append(
            {
                "effect": effect,
                "object": item["id"],
                "account": self.hidden[item["id"]]["account"],
                "metadata": {**(item.get("metadata") or {}), **self.cause.metadata},
                "idempotency_key": self.cause.key,
                "request": self.cause.request_id,
                "at": self.clock.now(),
                **more,
            }
        )
        self.changes += 1

    def emit(self, kind: str, item: Json, previous: Json | None = None) -> Json:
        """Makes an event with the object as it is now, and queues it for the endpoints."""
        account = self.hidden[item["id"]]["account"]
        data: Json = {"object": copied(item)}
        if previous is not None:
            data["previous_attributes"] = copied(previous)
        event: Json = {
            "id": mint("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.clock.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": len(self.endpoints),
            "request": {"id": self.cause.request_id, "idempotency_key": self.cause.key},
            "type": kind,
        }
        if account != MAIN_ACCOUNT:
            event["account"] = account
        self.add(account, event)
        self.outbox.append(event)
        return event

    def update(self, item: Json, changes: Json) -> Json:
        """Changes an object and returns the old values of what became different."""
        previous = {
            name: item.get(name) for name, value in changes.items() if item.get(name) != value
        }
        item.update(changes)
        self.changes += 1
        return previous

    # The file.

    def save(self, path: pathlib.Path) -> None:
        """Writes everything to a file, whole or not at all."""
        state = {
            "objects": self.objects,
            "hidden": self.hidden,
            "keys": self.keys,
            "connected": self.connected,
            "answers": {name: one for name, one in self.answers.items() if one["done"]},
            "ledger": self.ledger,
            "outbox": self.outbox,
            "endpoints": self.endpoints,
            "timers": self.clock.timers,
            "offset_s": self.clock.offset_s,
            "settings": dataclasses.asdict(self.settings),
        }
        beside = path.with_suffix(path.suffix + ".new")
        beside.write_text(json.dumps(state))
        beside.replace(path)

    def load(self, path: pathlib.Path) -> None:
        """Reads what *save* wrote, if there is a file."""
        if not path.exists():
            return
        state = json.loads(path.read_text())
        for name in ("objects", "hidden", "keys", "connected", "answers"):
            setattr(self, name, state[name])
        self.ledger, self.outbox = state["ledger"], state["outbox"]
        self.endpoints = state["endpoints"]
        self.clock.timers, self.clock.offset_s = state["timers"], state["offset_s"]
        self.settings = Settings(**state["settings"])
