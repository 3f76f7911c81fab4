"""Beginning operations on mirrored entities, and reading them.

Owns the first transaction of every change: the caller's idempotency key, the entity, the
operation and the event together. Called by the use cases of each kind, which bring the rule.
Never calls a provider itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from payment_service.db import idempotency, mirrors, operations, provider_objects
from payment_service.domain import bindings, model
from payment_service.domain.mirrors import base, objects
from payment_service.usecases import context, intents, refusals, settling
from payment_service.usecases.mirrors import scopes, writing
from servicekit import errors, storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An entity with its newest operations, oldest first."""

    entity: Any
    operations: tuple[model.Operation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a rule wants written: the entity after it, and its operations.

    `before` is None for a new entity; `claims` are objects at a provider that are the
    entity's from now on.
    """

    before: Any
    after: Any
    operations: tuple[model.Operation, ...] = ()
    claims: tuple[tuple[provider_objects.Owner, objects.Reference], ...] = ()


Decide = Callable[[storage.Connection], Intent | bindings.Refusal]
# Returns the request to the provider, or why it can't be asked now.
Rule = Callable[[storage.Connection, Shown], bytes | bindings.Refusal]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    operations: tuple[model.Operation, ...] = ()
    refusal: bindings.Refusal | None = None
    found: bool = False


class Beginner:
    """Commits intents and drives them; see the module.

    Args:
        ctx: What lies outside.
        settler: Drives operations to their outcome.
        rules: The kind of entity.
    """

    def __init__(
        self, ctx: context.Context, settler: settling.Settler, rules: base.AnyRules
    ) -> None:
        self._ctx = ctx
        self._settler = settler
        self._rules = rules

    async def get(self, caller: context.Caller, entity_id: str) -> Shown:
        """Returns an entity; for one in doubt, makes the resolver look now.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        shown = await self._ctx.db.read(lambda conn: self._load(conn, caller.tenant_id, entity_id))
        if shown is None:
            raise errors.not_found(self._rules.name, entity_id)
        if any(operation.is_unknown for operation in shown.operations):
            await self._settler.hurry(entity_id)
        return shown

    async def list_newest_first(
        self, caller: context.Caller, wanted: mirrors.ListFilter, most: int
    ) -> list[Any]:
        """Returns at most *most* entities without their operations, newest first."""
        return await self._ctx.db.read(
            lambda conn: mirrors.list_newest_first(
                conn, self._rules, caller.tenant_id, wanted, most
            )
        )

    def _load(self, conn: storage.Connection, tenant_id: str, entity_id: str) -> Shown | None:
        entity = mirrors.load(conn, self._rules, tenant_id, entity_id)
        if entity is None:
            return None
        own = operations.newest(conn, entity_id, base.OPERATIONS_SHOWN)
        return Shown(entity=entity, operations=own)

    def operation(
        self,
        caller: context.Caller,
        request: intents.Request,
        kind: model.Kind,
        entity_id: str,
        provider: str,
        body: bytes = b"",
        *,
        now_us: int,
    ) -> model.Operation:
        """Returns a new operation in flight on an entity; *body* is its request."""
        return intents.operation(
            self._ctx,
            caller,
            kind=kind,
            entity_id=entity_id,
            provider_name=provider,
            key=request.key,
            now_us=now_us,
            body=body,
        )

    async def ask_provider(
        self,
        caller: context.Caller,
        request: intents.Request,
        before: Any,
        kind: model.Kind,
        rule: Rule,
    ) -> Shown:
        """Has the provider of an entity change it, and returns the entity after that.

        Args:
            caller: Who asks.
            request: RPC, key and fingerprint.
            before: The entity as it was read.
            kind: What the provider is asked for.
            rule: Called inside the transaction with the entity as locked; may run twice.

        Raises:
            errors.RpcError: What *rule* refuses, CAPABILITY_MISSING, idempotency conflicts,
                and what else keeps provider or binding from it.
        """
        provider = before.place.provider
        route = await intents.way(self._ctx, caller, request, kind, provider, follows=True)
        if route is None:
            return await self.repeat(caller, request)
        now_us = self._ctx.clock.now_us()
        operation = self.operation(caller, request, kind, before.id, provider, now_us=now_us)

        def decide(conn: storage.Connection) -> Intent | bindings.Refusal:
            now = self.locked(conn, caller.tenant_id, before.id)
            body = rule(conn, now)
            if isinstance(body, bindings.Refusal):
                return body
            after = base.begin(now.entity, provider)
            asked = replace(operation, request=body)
            return Intent(before=now.entity, after=after, operations=(asked,))

        return await self.change(caller, request, before.id, operation.id, decide, now_us=now_us)

    async def change(
        self,
        caller: context.Caller,
        request: intents.Request,
        entity_id: str,
        operation_id: str,
        decide: Decide,
        *,
        now_us: int,
    ) -> Shown:
        """Commits an intent with the caller's key, carries it out, and returns the entity.

        Args:
            caller: Who asks.
            request: RPC, key and fingerprint.
            entity_id: What the key stands for.
            operation_id: The operation that the key waits for, '' for none.
            decide: The rule, called inside the transaction after the key was not found; may
                run twice.
            now_us: The time of the change.

        Raises:
            errors.RpcError: What *decide* refuses, idempotency conflicts.
        """
        return await self._ctx.tracker.shielded(
            self._change(caller, request, entity_id, operation_id, decide, now_us)
        )

    async def _change(
        self,
        caller: context.Caller,
        request: intents.Request,
        entity_id: str,
        operation_id: str,
        decide: Decide,
        now_us: int,
    ) -> Shown:
        ids = context.fresh_ids(self._ctx.new_id)
        claim = intents.claim(
            self._ctx,
            caller,
            request,
            resource_id=entity_id,
            operation_id=operation_id,
            now_us=now_us,
        )

        def write(conn: storage.Connection) -> _Begun:
            found = idempotency.find(conn, caller.tenant_id, request.rpc, request.key)
            if found is not None:
                return _Begun(found=True)
            intent = decide(conn)
            # Whoever waited for the entity's lock may find that the key was used meanwhile.
            if idempotency.find(conn, caller.tenant_id, request.rpc, request.key) is not None:
                return _Begun(found=True)
            if isinstance(intent, bindings.Refusal):
                return _Begun(refusal=intent)
            if not conn.run(idempotency.CLAIM, idempotency.params(claim)):
                return _Begun(found=True)
            self._write(conn, caller, request, intent, ids(), now_us)
            return _Begun(operations=intent.operations)

        begun = await self._ctx.db.write(write)
        if begun.refusal is not None:
            raise refusals.refused(begun.refusal)
        if begun.found:
            return await self.repeat(caller, request)
        self._ctx.outbox_written.set()
        for operation in begun.operations:
            await self._settler.drive_mirror(operation)
        return await self.get(caller, entity_id)

    def _write(
        self,
        conn: storage.Connection,
        caller: context.Caller,
        request: intents.Request,
        intent: Intent,
        new_id: Callable[[str], str],
        now_us: int,
    ) -> None:
        place = intent.after.places()[0]
        scope = scopes.Scope(
            tenant_id=caller.tenant_id,
            provider=place.provider,
            binding_id=place.binding_id,
            now_us=now_us,
            new_id=new_id,
            schedule=self._ctx.schedule,
            cause=caller.cause(request.key),
            operation_id=intent.operations[0].id if intent.operations else "",
        )
        writing.finish(conn, scope, self._rules, intent.before, intent.after)
        for operation in intent.operations:
            conn.run(operations.INSERT, operations.params(operation))
        for owner, reference in intent.claims:
            if provider_objects.claim(conn, owner, reference, intent.after.id) != intent.after.id:
                raise errors.unavailable("another call has just taken it; repeat the call")

    async def repeat(self, caller: context.Caller, request: intents.Request) -> Shown:
        """The key was used before: returns what it made or changed, as it stands now.

        Raises:
            errors.RpcError: IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_KEY_IN_FLIGHT.
        """

        def look(conn: storage.Connection) -> tuple[idempotency.Found, Shown] | None:
            found = idempotency.find(conn, caller.tenant_id, request.rpc, request.key)
            if found is None:
                return None
            shown = self._load(conn, caller.tenant_id, found.resource_id)
            return (found, shown) if shown is not None else None

        seen = await self._ctx.db.read(look)
        if seen is None:
            raise errors.unavailable("the idempotency key is being written; repeat the call")
        found, shown = seen
        own = next((o for o in shown.operations if o.id == found.operation_id), None)
        if intents.check_repeat(request, found, own):
            await self._settler.hurry(shown.entity.id)
        return shown

    def locked(self, conn: storage.Connection, tenant_id: str, entity_id: str) -> Shown:
        """Returns an entity under its lock with its newest operations, for a rule.

        Raises:
            LookupError: It vanished.
        """
        entity = mirrors.load(conn, self._rules, tenant_id, entity_id, lock=True)
        if entity is None:
            raise LookupError(f"{entity_id} vanished")
        own = operations.newest(conn, entity_id, base.OPERATIONS_SHOWN)
        return Shown(entity=entity, operations=own)
