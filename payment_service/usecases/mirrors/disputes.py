"""Disputes: get, list, submit evidence, accept.

Owns the transactions of these calls. Called by the API. Disputes become known by what
providers tell; see `absorbing`.
"""

from collections.abc import Mapping

from payment_service.db import mirrors
from payment_service.domain import bindings, model
from payment_service.domain.mirrors import base, disputes
from payment_service.provider_client import checkout_requests
from payment_service.usecases import context, intents, settling
from payment_service.usecases.mirrors import beginning
from servicekit import storage

_RULES = disputes.RULES


class Disputes:
    """The use cases of disputes."""

    def __init__(self, ctx: context.Context, settler: settling.Settler) -> None:
        self._ctx = ctx
        self._begin = beginning.Beginner(ctx, settler, _RULES)

    async def get(self, caller: context.Caller, dispute_id: str) -> beginning.Shown:
        """Returns a dispute.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        return await self._begin.get(caller, dispute_id)

    async def list_newest_first(
        self, caller: context.Caller, wanted: mirrors.ListFilter, most: int
    ) -> list[disputes.Dispute]:
        """Returns at most *most* disputes without their operations, newest first."""
        return await self._begin.list_newest_first(caller, wanted, most)

    async def submit(
        self,
        caller: context.Caller,
        request: intents.Request,
        dispute_id: str,
        evidence: Mapping[str, str],
    ) -> beginning.Shown:
        """Submits the evidence against a dispute, for good.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, STATE_CONFLICT, CAPABILITY_MISSING,
                idempotency conflicts, and what else keeps provider or binding from it.
        """
        before = (await self._begin.get(caller, dispute_id)).entity
        body = checkout_requests.submit_evidence(before.place.provider_object_id, evidence)
        kind, action = model.Kind.SUBMIT_EVIDENCE, disputes.Action.SUBMIT
        return await self._answer(caller, request, before, kind, action, body)

    async def accept(
        self, caller: context.Caller, request: intents.Request, dispute_id: str
    ) -> beginning.Shown:
        """Gives the disputed money up, for good.

        Raises:
            errors.RpcError: as for submit.
        """
        before = (await self._begin.get(caller, dispute_id)).entity
        body = checkout_requests.accept_dispute(before.place.provider_object_id)
        kind, action = model.Kind.ACCEPT_DISPUTE, disputes.Action.ACCEPT
        return await self._answer(caller, request, before, kind, action, body)

    async def _answer(
        self,
        caller: context.Caller,
        request: intents.Request,
        before: disputes.Dispute,
        kind: model.Kind,
        action: disputes.Action,
        body: bytes,
    ) -> beginning.Shown:
        provider = before.place.provider
        route = await intents.way(self._ctx, caller, request, kind, provider, follows=True)
        if route is None:
            return await self._begin.repeat(caller, request)
        now_us = self._ctx.clock.now_us()
        operation = self._begin.operation(
            caller, request, kind, before.id, provider, body, now_us=now_us
        )

        def decide(conn: storage.Connection) -> beginning.Intent | bindings.Refusal:
            shown = self._begin.locked(conn, caller.tenant_id, before.id)
            refusal = disputes.refusal(shown.entity, shown.operations, action)
            if refusal is not None:
                return refusal
            after = base.begin(shown.entity, provider)
            return beginning.Intent(before=shown.entity, after=after, operations=(operation,))

        return await self._begin.change(
            caller, request, before.id, operation.id, decide, now_us=now_us
        )
