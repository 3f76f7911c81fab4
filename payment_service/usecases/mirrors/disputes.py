"""Disputes: get, list, submit evidence, accept.

Owns the transactions of these calls. Called by the API. Disputes become known by what
providers tell; see `absorbing`.
"""

from collections.abc import Mapping

from payment_service.db import mirrors
from payment_service.domain import bindings, model
from payment_service.domain.mirrors import disputes
from payment_service.provider_client import checkout_requests
from payment_service.usecases import context, intents, settling
from payment_service.usecases.mirrors import beginning
from servicekit import storage

_RULES = disputes.RULES


class Disputes:
    """The use cases of disputes."""

    def __init__(self, ctx: context.Context, settler: settling.Settler) -> None:
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

        def rule(conn: storage.Connection, now: beginning.Shown) -> bytes | bindings.Refusal:
            refusal = disputes.refusal(now.entity, now.operations, disputes.Action.SUBMIT)
            there = now.entity.place.provider_object_id
            return refusal or checkout_requests.submit_evidence(there, evidence)

        kind = model.Kind.SUBMIT_EVIDENCE
        return await self._begin.ask_provider(caller, request, before, kind, rule)

    async def accept(
        self, caller: context.Caller, request: intents.Request, dispute_id: str
    ) -> beginning.Shown:
        """Gives the disputed money up, for good.

        Raises:
            errors.RpcError: as for submit.
        """
        before = (await self._begin.get(caller, dispute_id)).entity

        def rule(conn: storage.Connection, now: beginning.Shown) -> bytes | bindings.Refusal:
            refusal = disputes.refusal(now.entity, now.operations, disputes.Action.ACCEPT)
            there = now.entity.place.provider_object_id
            return refusal or checkout_requests.accept_dispute(there)

        kind = model.Kind.ACCEPT_DISPUTE
        return await self._begin.ask_provider(caller, request, before, kind, rule)
