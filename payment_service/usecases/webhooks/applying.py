"""Applying: what a believed webhook tells becomes what core knows, once.

Owns the rounds of asking for what the webhook only hints at, and the one transaction that
notes the provider's event together with all its effects. Called by `receiving` right after
the signature was checked, by the applier and by `replaying`. Never calls a provider inside
the transaction.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from payhub.provider.v1 import notice_provider_service_pb2 as nps

from payment_service.db import operations, outbox
from payment_service.db import webhooks as rows
from payment_service.domain import model, outcomes, webhooks
from payment_service.domain.mirrors import base, objects
from payment_service.provider_client import fetching, reading, seeing, signs
from payment_service.usecases import context, settling
from payment_service.usecases.mirrors import absorbing, noting, scopes
from payment_service.usecases.webhooks import telling
from servicekit import failpoints, logs, storage

_log = logs.get_logger(__name__)

# Asking for what is missing, and for what that lacks.
ROUNDS_MAX = 4
FETCHES_MAX = 16
# How long one webhook waits in all for its turns to ask. Many come at once.
PATIENCE_S = 5.0


class _Incomplete(Exception):
    """Something has to be fetched first; undoes the transaction.

    Args:
        wanted: What.
    """

    def __init__(self, wanted: Sequence[objects.Reference]) -> None:
        super().__init__("fetch first")
        self.wanted = tuple(wanted)


class _NotNow(Exception):
    """It can't be applied now; says why."""


@dataclass(slots=True, kw_only=True)
class _Told:
    """What is known while a webhook is applied: hints first, then answers.

    `patient_until_s` is when it waits no longer for a turn, in the loop's time.
    """

    patient_until_s: float
    operations: list[tuple[model.Operation, outcomes.Report]] = field(default_factory=list)
    hints: list[objects.Seen] = field(default_factory=list)
    fetched: list[objects.Seen] = field(default_factory=list)
    asked: set[objects.Reference] = field(default_factory=set)
    notices: tuple[str, ...] = ()

    def patience_s(self) -> float:
        """Returns how long it still waits for a turn to ask, at least 0."""
        return max(self.patient_until_s - asyncio.get_running_loop().time(), 0.0)


class Applier:
    """Applies webhooks.

    Args:
        ctx: What lies outside.
        settler: Settles operations.
    """

    def __init__(self, ctx: context.Context, settler: settling.Settler) -> None:
        self._ctx = ctx
        self._settler = settler
        # Set when a webhook waits to be applied.
        self.wake = asyncio.Event()

    async def apply(
        self, webhook: webhooks.Webhook, verified: nps.VerifyWebhookResponse
    ) -> webhooks.Webhook:
        """Does what a webhook tells and returns it as it stands afterwards.

        What can't be done now is put off, and given up after the last try.
        """
        try:
            return await self._apply(webhook, verified)
        except _NotNow as problem:
            return await self.put_off(webhook, str(problem))
        except storage.StorageError:
            raise
        except Exception:
            _log.exception("a webhook could not be applied", webhook_id=webhook.id)
            return await self.put_off(webhook, "a fault in core; see its log")

    async def put_off(self, webhook: webhooks.Webhook, why: str) -> webhooks.Webhook:
        """Notes that a webhook could not be applied, and when it is tried again."""
        later = webhooks.put_off(webhook, why, self._ctx.clock.now_us())
        log = _log.error if later.state is webhooks.State.FAILED else _log.info
        log("webhook not applied", webhook_id=webhook.id, state=later.state.name, detail=why)
        return await self.note(later)

    async def note(self, webhook: webhooks.Webhook) -> webhooks.Webhook:
        """Writes what came of a webhook without effects; returns it as it stands then.

        Whoever took it over, because this took longer than a lease, knows better.
        """

        def write(conn: storage.Connection) -> webhooks.Webhook:
            current = rows.load(conn, webhook.id, lock=True)
            if current is not None and (
                current.state not in webhooks.OPEN or current.attempts > webhook.attempts
            ):
                return current
            rows.update(conn, webhook)
            return webhook

        return await self._ctx.db.write(write)

    async def _apply(
        self, webhook: webhooks.Webhook, verified: nps.VerifyWebhookResponse
    ) -> webhooks.Webhook:
        told = _Told(
            patient_until_s=asyncio.get_running_loop().time() + PATIENCE_S,
            notices=_known(webhook, verified.notices),
        )
        wanted = [] if verified.irrelevant else self._read(verified, told)
        hinted = {one.reference for one in told.hints} & set(wanted)
        told.hints = [one for one in told.hints if one.reference not in hinted]
        if not verified.irrelevant:
            await self._operations(webhook, verified, told)
        await self._fetch(webhook, told, wanted)
        for number in range(ROUNDS_MAX):
            final = number == ROUNDS_MAX - 1
            try:
                return await self._commit(webhook, told, final=final)
            except _Incomplete as incomplete:
                await self._fetch(webhook, told, incomplete.wanted)
        raise _NotNow("what it refers to keeps changing")

    def _read(self, verified: nps.VerifyWebhookResponse, told: _Told) -> list[objects.Reference]:
        """Collects the hints; returns what has to be asked for."""
        wanted: list[objects.Reference] = []
        for message in verified.objects:
            try:
                told.hints.append(seeing.read(message))
            except seeing.NotUnderstood as error:
                if error.reference is None:
                    raise _NotNow(error.text) from None
                wanted.append(error.reference)
        for reference in verified.refetch:
            try:
                wanted.append(seeing.reference(reference))
            except seeing.NotUnderstood as error:
                raise _NotNow(error.text) from None
        return wanted

    async def _operations(
        self, webhook: webhooks.Webhook, verified: nps.VerifyWebhookResponse, told: _Told
    ) -> None:
        """Collects what is known of each operation that the webhook names."""
        for message in verified.operations:
            operation_id = message.operation_id
            operation = await self._ctx.db.read(
                lambda conn, wanted=operation_id: operations.find(conn, wanted)  # type: ignore[misc]
            )
            if operation is None:
                raise _NotNow(f"operation {operation_id} is not known here")
            if not self._may_tell(webhook, operation):
                raise _NotNow(f"operation {operation_id} is of another binding")
            broken = signs.broken(operation, message, told.hints)
            if not verified.refetch and not broken:
                told.operations.append((operation, reading.result(operation, message)))
                continue
            provider = self._ctx.providers.find(operation.provider)
            if provider is None:
                raise _NotNow(f"provider {operation.provider} is not set up")
            report = await provider.look_up(
                operation, message.provider_object_id, patience_s=told.patience_s()
            )
            if report.outcome is outcomes.Outcome.UNKNOWN:
                raise _NotNow(f"looking {operation_id} up failed: {report.detail}")
            told.operations.append((operation, report))

    def _may_tell(self, webhook: webhooks.Webhook, operation: model.Operation) -> bool:
        """Whether the address a webhook came to may tell of an operation.

        Its own binding may. Tenants that share one account may tell of each other's: the
        signature is that of the account, and Stripe or whoever it is knows one address.
        """
        if operation.provider != webhook.provider:
            return False
        if operation.tenant_id == webhook.tenant_id:
            return operation.binding_id == webhook.binding_id
        view = self._ctx.catalog.view
        account = view.binding(webhook.tenant_id, webhook.provider)
        return account is not None and account is view.binding(
            operation.tenant_id, operation.provider
        )

    async def _fetch(
        self, webhook: webhooks.Webhook, told: _Told, wanted: Iterable[objects.Reference]
    ) -> None:
        """Asks for objects that were not asked for yet."""
        provider = self._ctx.providers.find(webhook.provider)
        for reference in wanted:
            if reference in told.asked:
                continue
            if provider is None or len(told.asked) >= FETCHES_MAX:
                raise _NotNow("more objects than one webhook may ask for")
            told.asked.add(reference)
            found = await fetching.fetch(
                provider,
                reference,
                binding_id=webhook.binding_id,
                tenant_id=webhook.tenant_id,
                patience_s=told.patience_s(),
            )
            if not found.seen and not found.absent:
                raise _NotNow(f"{reference.kind.name.lower()} not fetched: {found.detail}")
            told.fetched += found.seen
            # What was asked for just now is newer than what was hinted at.
            known = {one.reference for one in found.seen}
            told.hints = [one for one in told.hints if one.reference not in known]

    async def _commit(
        self, webhook: webhooks.Webhook, told: _Told, *, final: bool
    ) -> webhooks.Webhook:
        now_us = self._ctx.clock.now_us()
        ids = context.fresh_ids(self._ctx.new_id)
        tenant_id, binding_id = webhook.tenant_id, webhook.binding_id
        for operation, _ in told.operations:
            # Of whoever shares the account: what comes along is theirs.
            tenant_id, binding_id = operation.tenant_id, operation.binding_id

        def write(
            conn: storage.Connection,
        ) -> tuple[webhooks.Webhook, list[settling.Settled]]:
            current = rows.load(conn, webhook.id, lock=True)
            if current is None or current.state not in webhooks.OPEN:
                return current or webhook, []
            new_id = ids()
            current = replace(
                webhook, attempts=max(current.attempts, webhook.attempts), updated_us=now_us
            )
            claim = rows.claim_event(conn, current, now_us=now_us)
            if claim is rows.Claim.TAKEN:
                done = webhooks.ended(current, webhooks.State.DUPLICATE, now_us)
                rows.update(conn, done)
                return done, []
            scope = scopes.Scope(
                tenant_id=tenant_id,
                provider=webhook.provider,
                binding_id=binding_id,
                now_us=now_us,
                new_id=new_id,
                schedule=self._ctx.schedule,
                cause=telling.cause(webhook),
            )
            settled, entities = self._apply_in(
                conn, scope, told, is_first=claim is rows.Claim.NEW, final=final
            )
            state = webhooks.State.APPLIED if entities else webhooks.State.IGNORED
            done = webhooks.ended(current, state, now_us, tuple(dict.fromkeys(entities)))
            rows.update(conn, done)
            if claim is rows.Claim.NEW:
                entry = telling.entry(done, "webhook.received", new_id)
                conn.run(*outbox.append([entry]))
            return done, settled

        failpoints.hit("payment_service.before_webhook_applied")
        done, settled = await self._ctx.tracker.shielded(self._ctx.db.write(write))
        failpoints.hit("payment_service.after_webhook_applied")
        for one in settled:
            self._settler.after(one)
        self._ctx.outbox_written.set()
        return done

    def _apply_in(
        self,
        conn: storage.Connection,
        scope: scopes.Scope,
        told: _Told,
        *,
        is_first: bool,
        final: bool,
    ) -> tuple[list[settling.Settled], list[str]]:
        """Applies all that a webhook tells; returns what was settled, and whom it is about.

        Raises:
            _Incomplete, _NotNow: See `_require_complete`.
        """
        settled = [
            self._settler.settle_in(
                conn,
                operation,
                report,
                now_us=scope.now_us,
                new_id=scope.new_id,
                actor=telling.ACTOR,
            )
            for operation, report in told.operations
        ]
        absorbed = absorbing.absorb_all_in(conn, scope, told.hints, final=final)
        absorbed += absorbing.absorb_all_in(conn, scope, told.fetched, fetched=True, final=final)
        _require_complete(told, settled, absorbed, final=final)
        entities = [one.entity_id for one in absorbed if one.entity_id]
        # A replay tells what is new only: the notice and the event are of the first time.
        for event_type in told.notices if is_first else ():
            noting.note_in(conn, scope, entities, event_type)
        return settled, entities + [operation.entity_id for operation, _ in told.operations]


def _known(webhook: webhooks.Webhook, notices: Iterable[str]) -> tuple[str, ...]:
    """Returns the notices that core tells on; every other event follows from a state."""
    if unknown := [one for one in notices if one not in noting.TYPES]:
        _log.error(
            "a plugin gives notice of what is none",
            webhook_id=webhook.id,
            provider=webhook.provider,
            notices=unknown,
        )
    return tuple(one for one in notices if one in noting.TYPES)


def _require_complete(
    told: _Told,
    settled: Sequence[settling.Settled],
    absorbed: Sequence[absorbing.Absorbed],
    *,
    final: bool,
) -> None:
    """Undoes the transaction if something has to be known first.

    Raises:
        _Incomplete: It can be asked for.
        _NotNow: It names an entity of core that is not there; perhaps it will be.
    """
    missing = [one for each in settled for one in each.refetch]
    missing += [one for each in absorbed for one in each.refetch]
    fresh = [one for one in missing if one not in told.asked]
    if fresh and not final:
        raise _Incomplete(fresh)
    named = {one.reference: one.core_id for one in (*told.hints, *told.fetched)}
    for one in absorbed:
        if one.verdict is base.Verdict.FOREIGN and named.get(one.reference):
            raise _NotNow(f"{named[one.reference]} is not known here")
