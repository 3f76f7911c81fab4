"""Increments: more is held of a payment that is authorized.

Owns the transactions of this call. Called by the API. Nothing is reserved: what is held
rises with the outcome, and while nobody knows it nothing else takes from the payment.
"""

from dataclasses import replace

from payment_service.domain import bindings, changes, commands, model, money, routing
from payment_service.provider_client import requests
from payment_service.usecases import asked, context, daily_limits, driving, intents, refusals
from servicekit import errors


class Increments:
    """The use case of increments."""

    def __init__(self, ctx: context.Context, driver: driving.Driver) -> None:
        self._ctx = ctx
        self._driver = driver

    async def increment(self, caller: context.Caller, wanted: asked.Increment) -> model.Payment:
        """Raises what is authorized by an amount.

        Raises:
            errors.RpcError: STATE_CONFLICT, AMOUNT_EXCEEDED, CAPABILITY_MISSING,
                LIMIT_EXCEEDED, RESOURCE_NOT_FOUND, idempotency conflicts.
        """
        before = await self._driver.read(caller, wanted.payment_id)
        if wanted.currency != before.currency:
            raise errors.invalid_field("amount.currency_code", f"must be {before.currency}")
        kind = model.Kind.INCREMENT
        route = await intents.way(
            self._ctx,
            caller,
            wanted.request,
            kind,
            before.provider,
            follows=True,
            amount_minor=before.amount_minor + wanted.amount_minor,
            currency=before.currency,
        )
        now_us = self._ctx.clock.now_us()
        operation = intents.operation(
            self._ctx,
            caller,
            kind=kind,
            entity_id=before.id,
            provider_name=before.provider,
            key=wanted.request.key,
            now_us=now_us,
            amount_minor=wanted.amount_minor,
            currency=before.currency,
        )
        takes = daily_limits.counted(route, operation) if route is not None else None
        if takes is not None:
            operation = replace(operation, counted_day=takes.day)

        def decide(payment: model.Payment) -> changes.Change | changes.Refusal:
            if route is not None and payment.amount_minor != before.amount_minor:
                # Another increment has succeeded since the sum was judged.
                _require_within(route, payment, operation)
            total = payment.authorized_minor + wanted.amount_minor
            if total > money.AMOUNT_MINOR_MAX:
                return commands.increment(payment, operation, now_us)
            request = requests.increment(payment, wanted.amount_minor)
            return commands.increment(payment, replace(operation, request=request), now_us)

        return await self._driver.begin_and_drive(
            caller, wanted.request, before, operation.id, decide, takes
        )


def _require_within(
    route: routing.Route, payment: model.Payment, operation: model.Operation
) -> None:
    """Refuses more than the binding takes in all; undoes the transaction.

    Raises:
        errors.RpcError: LIMIT_EXCEEDED.
    """
    total_minor = payment.amount_minor + operation.amount_minor
    options = route.binding.options
    refused = bindings.judge(options, operation.kind, total_minor, payment.currency)
    if refused is not None:
        raise refusals.refused(refused)
