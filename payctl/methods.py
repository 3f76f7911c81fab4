"""Commands on payment methods kept at customers: attach, list, show, default, detach.

Owns their options and their display. Called through `payctl.commands`. Never shows a token.
"""

from typing import Annotated

import typer
from payhub.payments.v1 import payment_method_service_pb2 as pb

from payctl import mirrors, render, session

app = typer.Typer(no_args_is_help=True, help="Payment methods kept at customers.")

CustomerId = Annotated[str, typer.Argument(help="The customer, cus_...")]
MethodId = Annotated[str, typer.Argument(help="The payment method, pmt_...")]

_STATES = mirrors.labels(pb.PaymentMethod.State, "STATE_")


@app.command()
def attach(
    ctx: typer.Context,
    customer_id: CustomerId,
    token: Annotated[str, typer.Argument(help="Token of the provider; never a card number.")],
    *,
    default: Annotated[bool, typer.Option("--default", help="Pay by it from now on.")] = False,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Keep a payment method at a customer."""
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.payment_methods.attach(
            customer_id, token, set_default=default, idempotency_key=once, timeout_s=timeout_s
        ),
        key=key,
        as_json=as_json,
    )


@app.command("list")
def list_(
    ctx: typer.Context,
    customer_id: CustomerId,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are detached or never came to be.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List a customer's payment methods, newest first."""
    _KIND.list(
        ctx,
        lambda client, timeout_s: client.payment_methods.list_page(
            customer_id,
            include_inactive=everything,
            page_size=limit,
            page_token=page_token,
            timeout_s=timeout_s,
        ),
        lambda page: page.payment_methods,
        as_json=as_json,
    )


@app.command()
def show(ctx: typer.Context, method_id: MethodId, as_json: session.JsonFlag = False) -> None:
    """Show a payment method."""
    _KIND.show(
        ctx,
        lambda client, timeout_s: client.payment_methods.get(method_id, timeout_s=timeout_s),
        as_json=as_json,
    )


@app.command()
def default(
    ctx: typer.Context,
    method_id: MethodId,
    *,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Make the method its customer's default: used if no other one is named."""
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.payment_methods.set_default(
            method_id, idempotency_key=once, timeout_s=timeout_s
        ),
        key=key,
        as_json=as_json,
    )


@app.command()
def detach(
    ctx: typer.Context,
    method_id: MethodId,
    *,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Take a payment method from its customer, for good."""
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.payment_methods.detach(
            method_id, idempotency_key=once, timeout_s=timeout_s
        ),
        key=key,
        as_json=as_json,
    )


def _fields(found: pb.PaymentMethod) -> dict[str, mirrors.Cell]:
    return {
        "payment method": found.id,
        "customer": found.customer_id,
        "state": _state(found),
        "type": found.type,
        "card": _card(found),
        "default": "yes" if found.is_default else "",
        **mirrors.at_provider(found.mirror),
        "created": render.moment(found.create_time),
        "changed": render.moment(found.update_time),
    }


def _row(found: pb.PaymentMethod) -> list[mirrors.Cell]:
    return [
        found.id,
        _state(found),
        found.type,
        _card(found),
        "default" if found.is_default else "",
        mirrors.sync(found.mirror),
        render.moment(found.create_time),
    ]


def _state(found: pb.PaymentMethod) -> mirrors.Cell:
    return render.state(_STATES.get(found.state, str(found.state)))


def _card(found: pb.PaymentMethod) -> str:
    if not found.HasField("card"):
        return ""
    expires = f", {found.card.expire_month:02}/{found.card.expire_year}"
    return f"{found.card.brand} {found.card.last4}{expires if found.card.expire_year else ''}"


_KIND = mirrors.Kind(
    group="methods",
    fields=_fields,
    columns=["payment method", "state", "type", "card", "default", "sync", "created"],
    row=_row,
    mirrors=lambda found: [found.mirror],
    meaning=lambda found: mirrors.of_sync(found.mirror),
)
