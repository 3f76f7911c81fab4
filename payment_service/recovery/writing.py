"""Writing down events that the log holds and this database does not know, in their order.

Owns what becomes of each of them. Called by `following`, a page of events to a transaction.
Events that were made here since the back-up and that the log refuses, because it has others of
the same versions, are moved behind those.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from google.protobuf.message import DecodeError, Message
from payhub.admin.v1 import key_events_pb2
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import payment_events_pb2

from payment_service.db import (
    customers,
    idempotency,
    operations,
    outbox,
    payments,
    provider_objects,
    recovering,
    refunds,
)
from payment_service.db import mirrors as mirror_rows
from payment_service.domain import bindings, changes, model
from payment_service.domain.mirrors import kinds, objects
from payment_service.recovery import counting, envelopes, mirrors, rebuilding
from payment_service.usecases import changing, daily_limits
from payment_service.usecases import events as events_
from servicekit import storage


def write(
    conn: storage.Connection,
    events: Sequence[event_pb2.Event],
    *,
    epoch: str,
    now_us: int,
    timeout_us: int,
) -> counting.Tally:
    """Writes down a page of the log; returns what was found in it.

    Args:
        conn: The transaction.
        events: Of core, in the order of the log.
        epoch: Of the log.
        now_us: The time of the changes.
        timeout_us: How long an attempt at a provider may be under way.
    """
    page = _Page(conn, epoch=epoch, now_us=now_us, timeout_us=timeout_us)
    known = recovering.known(conn, [event.id for event in events])
    for event in events:
        page.tally.see(rebuilding.us(event.occur_time))
        row_id, is_marked = known.get((event.tenant_id, event.id), (0, False))
        if not row_id:
            page.take(event)
        elif not is_marked:
            outbox.mark(conn, epoch, [(row_id, event.position)])
    return page.tally


class _Page:
    """One transaction; see `write`."""

    def __init__(
        self, conn: storage.Connection, *, epoch: str, now_us: int, timeout_us: int
    ) -> None:
        self.tally = counting.Tally()
        self._conn = conn
        self._epoch = epoch
        self._now_us = now_us
        self._timeout_us = timeout_us

    def take(self, event: event_pb2.Event) -> None:
        """Takes one event in that is not known."""
        if event.entity_type == "api_key":
            self._note_tenant(event)
        entity = envelopes.entity(event)
        here = recovering.version(self._conn, entity)
        waiting = recovering.waiting(self._conn, entity, event.entity_id)
        if here is not None and event.entity_version <= here - len(waiting):
            # It has left the outbox, and all that it tells is here.
            return
        self.tally.events += 1
        payload = envelopes.payload(event)
        if isinstance(payload, payment_events_pb2.PaymentEvent):
            is_written = self._take_payment(event, payload, moves=bool(waiting))
        elif isinstance(payload, payment_events_pb2.CustomerEvent):
            is_written = self._take_customer(event, payload, moves=bool(waiting))
        elif event.data_schema in mirrors.PAYLOADS and payload is not None:
            is_written = self._take_mirror(event, payload, moves=bool(waiting))
        else:
            is_written = here is not None and self._take_other(event, entity)
            if here is None and entity.kind == "api_key":
                self.tally.dead[entity.id] = None
            elif here is None:
                self.tally.missing[f"{entity.kind} {event.entity_id}"] = None
        self._claim(event, payload)
        if not is_written:
            return
        entry = envelopes.entry(event)
        recovering.record(self._conn, entry, epoch=self._epoch, position=event.position)
        left = self._put_behind(event, waiting)
        recovering.set_version(self._conn, entity, event.entity_version + left)

    def _put_behind(self, event: event_pb2.Event, waiting: Sequence[recovering.Waiting]) -> int:
        """Moves events that no log has taken behind *event*, but for one that tells the same.

        Returns:
            How many there are now.
        """
        version = event.entity_version
        told = False
        for one in waiting:
            own = event_pb2.Event.FromString(one.envelope)
            if not told and envelopes.tell_the_same(event, own):
                told = True
                recovering.drop(self._conn, one.row_id)
                continue
            version += 1
            recovering.drop(self._conn, one.row_id)
            recovering.append(self._conn, envelopes.entry(envelopes.as_version(own, version)))
        return version - event.entity_version

    def _take_payment(
        self, event: event_pb2.Event, payload: payment_events_pb2.PaymentEvent, *, moves: bool
    ) -> bool:
        conn, tenant_id = self._conn, event.tenant_id
        here = payments.load(conn, tenant_id, event.entity_id, lock=True)
        after = rebuilding.payment(payload.payment, tenant_id, here, timeout_us=self._timeout_us)
        if here is not None and moves:
            merged = rebuilding.merge(after, here)
            if merged is None:
                self.tally.apart[after.id] = None
                return False
            if merged.operations != after.operations:
                self.tally.both[after.id] = tenant_id
            after = merged
        self.tally.payments[after.id] = None
        self._write_payment(here, after)
        if payload.HasField("refund"):
            self._write_refund(rebuilding.refund(payload.refund, tenant_id))
        if payload.operation_id:
            self._set_cause(event, payload.operation_id)
        if after.is_adopted and after.provider_payment_id:
            owner = provider_objects.Owner(tenant_id=tenant_id, binding_id=after.binding_id)
            reference = objects.Reference(
                kind=objects.ObjectKind.PAYMENT, provider_object_id=after.provider_payment_id
            )
            provider_objects.claim(conn, owner, reference, after.id)
        return True

    def _write_payment(self, here: model.Payment | None, after: model.Payment) -> None:
        stored = {one.id: one for one in here.operations} if here is not None else {}
        changed = [one for one in after.operations if stored.get(one.id) not in (None, one)]
        statements: changing.Batch = [
            payments.insert_whole(after)
            if here is None
            else (payments.UPDATE, payments.update_params(after))
        ]
        ended = [one for one in changed if stored[one.id].is_open]
        statements += daily_limits.gives_back(ended)
        changing.write(self._conn, statements)
        # One after the other: of several that charge the payer only one may be open.
        for one in changed:
            self._conn.run(operations.UPDATE, operations.update_params(one))
        for one in after.operations:
            if one.id not in stored:
                self._conn.run(operations.INSERT, operations.params(one))

    def _write_refund(self, refund: model.Refund) -> None:
        if refunds.load(self._conn, refund.tenant_id, refund.id) is None:
            self._conn.run(refunds.INSERT, refunds.params(refund))
        else:
            self._conn.run(refunds.UPDATE, refunds.update_params(refund))

    def _take_customer(
        self, event: event_pb2.Event, payload: payment_events_pb2.CustomerEvent, *, moves: bool
    ) -> bool:
        conn, tenant_id = self._conn, event.tenant_id
        here = customers.load(conn, tenant_id, event.entity_id, lock=True)
        if here is not None and moves:
            self.tally.older[f"customer {here.id}"] = None
            return True
        told = payload.customer
        binding_id = bindings.binding_id(tenant_id, told.provider)
        after = rebuilding.customer(told, tenant_id, binding_id=binding_id)
        self.tally.customers[after.id] = None
        if here is None:
            conn.run(customers.INSERT, customers.params(after))
        else:
            conn.run(customers.UPDATE, customers.update_params(after))
        operation_id = event.cause.causation_id
        if operation_id.startswith("op_"):
            is_new = not (here and here.provider_customer_id)
            stored = operations.load(conn, after.id, operation_id)
            followed = rebuilding.Followed(
                id=after.id,
                tenant_id=tenant_id,
                provider=after.provider,
                binding_id=after.binding_id,
                sync_state=after.sync_state,
                updated_us=after.updated_us,
            )
            made = rebuilding.following(
                followed,
                operation_id,
                stored,
                kind=model.Kind.CREATE_CUSTOMER if is_new else model.Kind.UPDATE_CUSTOMER,
                timeout_us=self._timeout_us,
            )
            self._write_operation(event, stored, made)
        return True

    def _write_operation(
        self, event: event_pb2.Event, stored: model.Operation | None, made: model.Operation
    ) -> None:
        if stored is None:
            self._conn.run(operations.INSERT, operations.params(made))
        elif stored.state is not made.state:
            self._conn.run(operations.UPDATE, operations.update_params(made))
        self._set_cause(event, made.id)

    def _take_mirror(self, event: event_pb2.Event, payload: Any, *, moves: bool) -> bool:
        conn, tenant_id = self._conn, event.tenant_id
        told = getattr(payload, mirrors.PAYLOADS[event.data_schema][1])
        rules = kinds.BY_PREFIX[event.entity_id.partition("_")[0]]
        here = mirror_rows.load(conn, rules, tenant_id, event.entity_id, lock=True)
        if here is not None and moves:
            mirror_rows.fetch_at(conn, here, self._now_us)
            self.tally.older[f"{event.entity_type} {here.id}"] = None
            return True
        after = mirrors.entity(told, tenant_id, here, user_id=event.user_id)
        self.tally.mirrors[after.id] = None
        written = mirror_rows.INSERT if here is None else mirror_rows.UPDATE
        # It is asked for at its provider: the events leave out what is secret.
        conn.run(written, mirror_rows.params(after, self._now_us))
        for place in after.places():
            if place.provider_object_id:
                owner = provider_objects.Owner(tenant_id=tenant_id, binding_id=place.binding_id)
                reference = objects.Reference(
                    kind=rules.kind, provider_object_id=place.provider_object_id
                )
                provider_objects.claim(conn, owner, reference, after.id)
        if payload.operation_id:
            stored = operations.load(conn, after.id, payload.operation_id)
            made = mirrors.operation(
                after,
                payload.operation_id,
                stored,
                event_type=event.type,
                timeout_us=self._timeout_us,
            )
            if made is not None:
                self._write_operation(event, stored, made)
        return True

    def _take_other(self, event: event_pb2.Event, entity: recovering.Entity) -> bool:
        """Only how far it is: what it holds comes from its provider, or from an operator."""
        name = f"{entity.kind} {event.entity_id}"
        if event.type != "api_key.revoked":
            self.tally.older[name] = None
        elif recovering.revoke(self._conn, entity.id, rebuilding.us(event.occur_time)):
            self.tally.revoked[entity.id] = None
        return True

    def _set_cause(self, event: event_pb2.Event, operation_id: str) -> None:
        recovering.set_cause(
            self._conn,
            event.entity_id,
            operation_id,
            correlation_id=event.cause.correlation_id,
            key=event.cause.idempotency_key,
            actor=event.cause.actor,
        )

    def _claim(self, event: event_pb2.Event, payload: Message | None) -> None:
        """Ties the key of the call to what it made, so that a repeat makes nothing."""
        key, told = event.cause.idempotency_key, None
        operation_id = event.cause.causation_id
        resource_id = event.entity_id
        if isinstance(payload, payment_events_pb2.PaymentEvent):
            told = payload.payment
            if payload.HasField("refund"):
                resource_id = payload.refund.id
        rpc = rebuilding.rpc(event.type, told, operation_id)
        if not key or not rpc or (rpc == "CreateRefund" and resource_id == event.entity_id):
            return
        claim = idempotency.Claim(
            tenant_id=event.tenant_id,
            rpc=rpc,
            key=key,
            fingerprint=idempotency.UNKNOWN,
            resource_id=resource_id,
            operation_id=operation_id,
            lease_us=0,
            created_us=rebuilding.us(event.occur_time),
        )
        if self._conn.run(idempotency.CLAIM, idempotency.params(claim)):
            return
        found = idempotency.find(self._conn, event.tenant_id, rpc, key)
        if found is not None and found.resource_id != resource_id:
            self.tally.twice[f"{rpc} {key}: {resource_id} and {found.resource_id}"] = None

    def _note_tenant(self, event: event_pb2.Event) -> None:
        try:
            told = key_events_pb2.KeyEvent.FromString(event.data)
        except DecodeError:
            return
        if told.key.tenant_id:
            self.tally.tenants[told.key.tenant_id] = None


def tell_both(
    conn: storage.Connection,
    *,
    tenant_id: str,
    payment_id: str,
    cause: model.Cause,
    now_us: int,
    event_id: str,
) -> None:
    """Tells of a payment that went on in the log and here what both make of it."""
    before = payments.load(conn, tenant_id, payment_id, lock=True)
    if before is None:
        return
    after = replace(before, version=before.version + 1, updated_us=now_us)
    step = changes.Step(event_type="reconciliation.discrepancy", before=before, after=after)
    change = changes.Change(payment=after, steps=(step,))
    entries = events_.of_change(change, cause, lambda _: event_id)
    changing.write(conn, changing.batch(change, entries))
