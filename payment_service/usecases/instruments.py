"""Instruments: what a payment is paid with.

Owns finding the payment method's token and the customer's id at the provider. Called by the
use cases of payments before an intent is made. Tokens are secrets: never to be logged.
"""

from dataclasses import dataclass, field

from payhub.plugin.v1 import capability_pb2

from payment_service.db import customers, mirrors
from payment_service.domain import model
from payment_service.domain.mirrors import base, payment_methods
from payment_service.usecases import asked, context, refusals
from servicekit import errors, storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """A token of the provider, and whose it is there, '' if that is not known."""

    token: str = field(repr=False)
    provider_customer_id: str = ""


def needs(*, off_session: bool, saves: bool) -> tuple[int, ...]:
    """Returns the capabilities that a payment needs beside those of its kind."""
    if not off_session and not saves:
        return ()
    found = [capability_pb2.CAPABILITY_OFF_SESSION] if off_session else []
    return (*found, capability_pb2.CAPABILITY_SAVE_PAYMENT_METHOD) if saves else tuple(found)


async def find(
    ctx: context.Context,
    caller: context.Caller,
    wanted: asked.Create | asked.Confirm,
    references: model.References,
    provider: str,
) -> Means:
    """Returns what the caller wants to pay with at *provider*.

    Raises:
        errors.RpcError: RESOURCE_NOT_FOUND (customer, payment method), INVALID_FIELD for one
            of another customer or provider, STATE_CONFLICT for one that can't be used.
    """
    customer_id = references.customer_id
    if not customer_id and not wanted.payment_method_id:
        return Means(token=wanted.payment_method)

    def look(
        conn: storage.Connection,
    ) -> tuple[model.Customer | None, payment_methods.PaymentMethod | None]:
        customer = customers.load(conn, caller.tenant_id, customer_id) if customer_id else None
        if not wanted.payment_method_id:
            return customer, None
        return customer, mirrors.load(
            conn, payment_methods.RULES, caller.tenant_id, wanted.payment_method_id
        )

    customer, method = await ctx.db.read(look)
    if customer_id and customer is None:
        raise errors.not_found("customer", customer_id)
    token = wanted.payment_method
    if wanted.payment_method_id:
        if method is None:
            raise errors.not_found("payment_method", wanted.payment_method_id)
        _require_usable(method, customer_id, provider)
        token = method.place.provider_object_id
    if customer is None or customer.provider != provider:
        return Means(token=token)
    return Means(token=token, provider_customer_id=customer.provider_customer_id)


def _require_usable(method: payment_methods.PaymentMethod, customer_id: str, provider: str) -> None:
    """Raises unless a customer can pay with a kept payment method at a provider."""
    if method.customer_id != customer_id:
        raise errors.invalid_field(
            "payment_method_id", "belongs to another customer than the one of the references"
        )
    if method.place.provider != provider:
        raise errors.invalid_field(
            "payment_method_id", f"is kept at {method.place.provider}, not at {provider}"
        )
    if method.state is not payment_methods.State.ACTIVE:
        raise refusals.refused(
            base.conflict(
                f"{method.id} is {method.state.name}; only an ACTIVE payment method can be paid "
                "with",
                f"STATE_{method.state.name}",
            )
        )


def require_customer(means: Means) -> None:
    """Refuses to keep a payment method at nobody.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    if not means.provider_customer_id:
        raise errors.invalid_field(
            "references.customer_id",
            "must be a customer whom the provider has, to keep the payment method at",
        )
