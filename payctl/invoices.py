"""Commands on invoices: list, show.

Owns their options and their display. Called through `payctl.commands`. Never changes an
invoice: its provider does.
"""

from typing import Annotated, cast

import typer
from payhub.payments.v1 import invoice_service_pb2 as pb

from payctl import mirrors, money, payments, render, session
from payhub_client import InvoiceFilter

app = typer.Typer(no_args_is_help=True, help="Invoices that providers made.")

_STATES = mirrors.labels(pb.Invoice.State, "STATE_")
_STATE_NAMES = ", ".join(name.lower() for value, name in _STATES.items() if value)


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    customer: Annotated[str, typer.Option(help="Only of this customer.")] = "",
    subscription: Annotated[str, typer.Option(help="Only of this subscription.")] = "",
    state: Annotated[str, typer.Option(help=f"Only one of {_STATE_NAMES}.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most invoices to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List invoices, newest first."""
    number = mirrors.chosen(pb.Invoice.State, "STATE_", state, what="state")
    where = InvoiceFilter(
        customer_id=customer,
        subscription_id=subscription,
        state=cast("pb.Invoice.State", number),
    )
    _KIND.list(
        ctx,
        lambda client, timeout_s: client.invoices.list_page(
            where, page_size=limit, page_token=page_token, timeout_s=timeout_s
        ),
        lambda page: page.invoices,
        as_json=as_json,
    )


@app.command()
def show(
    ctx: typer.Context,
    invoice_id: Annotated[str, typer.Argument(help="The invoice, inv_...")],
    as_json: session.JsonFlag = False,
) -> None:
    """Show an invoice with the address of its PDF, which whoever knows it can read."""
    _KIND.show(
        ctx,
        lambda client, timeout_s: client.invoices.get(invoice_id, timeout_s=timeout_s),
        as_json=as_json,
    )


def _fields(found: pb.Invoice) -> dict[str, mirrors.Cell]:
    begin = render.moment(found.period_start)
    return {
        "invoice": found.id,
        "number": found.number,
        "state": render.state(_STATES.get(found.state, str(found.state))),
        "due": _due(found),
        "paid": _paid(found),
        "period": f"{begin} to {render.moment(found.period_end)}" if begin else "",
        "due by": render.moment(found.due_time),
        "overdue": "yes" if found.overdue else "",
        "tries": str(found.attempt_count or ""),
        "next try": render.moment(found.next_attempt_time),
        "failure": payments.failure_text(found.failure),
        "customer": found.customer_id,
        "user": found.user_id,
        "subscription": found.subscription_id,
        "payment": found.payment_id,
        "PDF": found.pdf_url,
        "payer's page": found.hosted_url,
        **mirrors.at_provider(found.mirror),
        "created": render.moment(found.create_time),
        "changed": render.moment(found.update_time),
    }


def _due(found: pb.Invoice) -> str:
    if not found.HasField("amount_due"):
        return "nothing"
    return money.show(found.amount_due.amount_minor, found.amount_due.currency_code)


def _paid(found: pb.Invoice) -> str:
    if not found.amount_paid_minor:
        return ""
    return money.show(found.amount_paid_minor, found.amount_due.currency_code)


def _row(found: pb.Invoice) -> list[mirrors.Cell]:
    return [
        found.id,
        found.number,
        render.state(_STATES.get(found.state, str(found.state))),
        "overdue" if found.overdue else "",
        _due(found),
        _paid(found),
        found.subscription_id,
        render.moment(found.create_time),
    ]


_KIND = mirrors.Kind(
    group="invoices",
    fields=_fields,
    columns=["invoice", "number", "state", "", ">due", ">paid", "subscription", "created"],
    row=_row,
    mirrors=lambda found: [found.mirror],
    meaning=lambda found: mirrors.of_sync(found.mirror),
)
