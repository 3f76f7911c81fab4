"""What people and payers do at the provider, past core.

Owns one transaction for each: disputes, refunds in the dashboard, pauses,
checkouts paid. Called by the control port. Never an operation of core's.
"""

import collections
from dataclasses import replace
from typing import Any, TypeVar

from google.protobuf import json_format

from provider_mock import books, entries, provider, scenarios, schema, settlement
from provider_mock.billing import checkouts, disputes, invoices, rules, subscriptions
from provider_mock.objects import model, store, told
from provider_mock.webhooks import journal
from provider_sdk import errors
from servicekit import ids, storage

BodyT = TypeVar("BodyT", bound=model.Body)

_COUNT = storage.Statement(
    "select kind, state, count(*) from operations group by kind, state order by kind, state"
)
_COUNT_OBJECTS = storage.Statement(
    "select kind, state, count(*) from objects group by kind, state order by kind, state"
)


class Commands:
    """Everything that can be commanded.

    Args:
        ledger: The provider, for its ledger and clock.
    """

    def __init__(self, ledger: provider.MockProvider) -> None:
        self._ledger = ledger

    async def open_dispute(
        self, payment_id: str, *, amount_minor: int | None, reason: str, inquiry: bool
    ) -> dict[str, Any]:
        """The payer's bank disputes a payment; by default all that is left of it."""
        at_us = self._ledger.time.now_us()

        def write(conn: storage.Connection) -> dict[str, Any]:
            payment = _payment(conn, payment_id)
            left = payment.sums().refundable_minor - disputes.taken_minor(conn, payment_id)
            opened = disputes.begin(
                conn,
                payment,
                amount_minor=left if amount_minor is None else amount_minor,
                reason=reason,
                inquiry=inquiry,
                evidence_us=rules.load(conn).evidence_us,
                at_us=at_us,
            )
            return self._told(conn, opened)

        return await self._ledger.write(write)

    async def decide_dispute(self, dispute_id: str, *, won: bool) -> dict[str, Any]:
        """The payer's bank decides an open dispute."""
        at_us = self._ledger.time.now_us()

        def write(conn: storage.Connection) -> dict[str, Any]:
            kept = _object(conn, dispute_id, model.Dispute)
            if kept.state not in disputes.OPEN:
                raise errors.StateConflict(f"the dispute is {kept.state}")
            return self._told(conn, disputes.decide(conn, kept, won=won, at_us=at_us))

        return await self._ledger.write(write)

    async def refund_elsewhere(self, payment_id: str, amount_minor: int) -> dict[str, Any]:
        """Somebody refunds in the provider's dashboard."""
        now_us, refund_id = self._ledger.time.now_us(), ids.new_id("mref")

        def write(conn: storage.Connection) -> dict[str, Any]:
            payment = _payment(conn, payment_id)
            sums = settlement.up_to_date(conn, payment, now_us)
            if amount_minor < 1:
                raise ValueError("amount_minor must be positive")
            disputes.require_undisputed(
                conn,
                payment_id,
                refundable_minor=sums.refundable_minor,
                amount_minor=amount_minor,
            )
            reserved = books.reserve_refund(sums, amount_minor)
            entry = entries.Entry(
                operation_id=refund_id,
                binding_id=payment.binding_id,
                fingerprint="",
                provider_operation_id=refund_id,
                object_id=payment_id,
                now_us=now_us,
                settle_after_us=0,
                ensure_in_time=lambda: None,
                amount_minor=amount_minor,
                currency=payment.currency,
            )
            settlement.update(conn, payment_id, books.settle_refund(reserved, amount_minor))
            row = entries.row(entry, "FOREIGN_REFUND", scenarios.APPROVE)
            conn.run(schema.INSERT_OPERATION, row._asdict())
            return {"refund_id": refund_id, "amount_minor": amount_minor}

        return await self._ledger.write(write)

    async def pause(self, subscription_id: str, *, paused: bool) -> dict[str, Any]:
        """Somebody pauses or resumes a subscription in the dashboard."""
        at_us = self._ledger.time.now_us()

        def write(conn: storage.Connection) -> dict[str, Any]:
            kept = _object(conn, subscription_id, model.Subscription)
            wanted = ("TRIALING", "ACTIVE", "PAST_DUE") if paused else ("PAUSED",)
            if kept.state not in wanted:
                raise errors.StateConflict(f"the subscription is {kept.state}")
            if paused:
                return self._told(conn, subscriptions.pause(conn, kept, at_us=at_us))
            resumed = subscriptions.resume(conn, kept, rules.load(conn), at_us=at_us)
            return self._told(conn, resumed)

        return await self._ledger.write(write)

    async def pay_invoice(self, invoice_id: str) -> dict[str, Any]:
        """The payer has an open invoice tried again, now."""
        at_us = self._ledger.time.now_us()

        def write(conn: storage.Connection) -> dict[str, Any]:
            kept = _object(conn, invoice_id, model.Invoice)
            if kept.state != "OPEN":
                raise errors.StateConflict(f"the invoice is {kept.state}")
            if store.body(kept, model.Invoice).payment_id:
                raise errors.StateConflict("a payment of the invoice is under way")
            invoices.attempt(conn, kept, rules.load(conn), at_us=at_us)
            return self._told(conn, _object(conn, invoice_id, model.Invoice))

        return await self._ledger.write(write)

    async def change_method(self, method_id: str, token: str) -> dict[str, Any]:
        """A kept method behaves like *token* from now on."""
        at_us = self._ledger.time.now_us()
        text = _clauses(token)

        def write(conn: storage.Connection) -> dict[str, Any]:
            kept = _object(conn, method_id, model.Method)
            body = replace(store.body(kept, model.Method), scenario=text)
            return self._told(conn, store.put(conn, replace(kept, body=body), at_us=at_us))

        return await self._ledger.write(write)

    async def complete_checkout(self, page: str, token: str) -> dict[str, Any]:
        """The payer pays on the page, by the instrument *token*."""
        at_us = self._ledger.time.now_us()
        text = _clauses(token)

        def write(conn: storage.Connection) -> dict[str, Any]:
            kept = checkouts.by_token(conn, page.removeprefix("mcs_"))
            done = checkouts.complete(
                conn, kept, rules.load(conn), method_scenario=text, at_us=at_us
            )
            return self._told(conn, done)

        return await self._ledger.write(write)

    async def webhooks(self, limit: int) -> list[journal.Event]:
        """Returns the newest webhooks there are, the oldest of them first."""
        return await self._ledger.read(lambda conn: journal.listed(conn, limit))

    async def waiting(self) -> int:
        """Returns how many webhooks have not been taken, and not been given up either."""
        return await self._ledger.read(journal.waiting)

    async def webhook(self, event_id: str) -> journal.Event | None:
        """Returns a webhook."""
        return await self._ledger.read(lambda conn: journal.one(conn, event_id))

    async def effects(self) -> dict[str, Any]:
        """Returns how many operations and objects there are, by kind and state, and how many
        webhooks wait.
        """

        def read(conn: storage.Connection) -> dict[str, Any]:
            counts: dict[str, Any] = {"operations": {}, "objects": {}}
            for name, statement in (("operations", _COUNT), ("objects", _COUNT_OBJECTS)):
                by_kind: dict[str, dict[str, int]] = collections.defaultdict(dict)
                for kind, state, count in conn.all(statement):
                    by_kind[kind][state] = count
                counts[name] = dict(by_kind)
            return {**counts, "webhooks_waiting": journal.waiting(conn)}

        return await self._ledger.read(read)

    def _told(self, conn: storage.Connection, kept: store.Kept) -> dict[str, Any]:
        message = told.kept(conn, kept, base_url=self._ledger.base_url)
        shown: dict[str, Any] = json_format.MessageToDict(message)
        return shown


def _payment(conn: storage.Connection, payment_id: str) -> schema.PaymentRow:
    columns = conn.one(schema.SELECT_PAYMENT, {"object_id": payment_id})
    if columns is None:
        raise errors.NotFound("no such payment")
    return schema.PaymentRow._make(columns)


def _object(conn: storage.Connection, object_id: str, kind: type[BodyT]) -> store.Kept:
    kept = store.by_id(conn, object_id)
    if kept is None or not isinstance(kept.body, kind):
        raise errors.NotFound(f"no such {kind.__name__.lower()}")
    return kept


def _clauses(token: str) -> str:
    scenario = scenarios.of_token(token)
    if scenario is None:
        raise ValueError("token: not a scenario")
    return scenario.text
