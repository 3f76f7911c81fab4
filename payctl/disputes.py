"""Commands on disputes: list, show, evidence, accept.

Owns their options and their display. Called through `payctl.commands`. Evidence and acceptance
are for good, so neither is sent without being asked for.
"""

import pathlib
from typing import Annotated, cast

import typer
from payhub.payments.v1 import dispute_service_pb2 as pb

from payctl import mirrors, money, render, session
from payhub_client import DisputeFilter

app = typer.Typer(no_args_is_help=True, help="Disputes that payers' banks opened.")

DisputeId = Annotated[str, typer.Argument(help="The dispute, dsp_...")]

_TEXT_BYTES_MAX = 100_000
_STATES = mirrors.labels(pb.Dispute.State, "STATE_")
_STATE_NAMES = ", ".join(name.lower() for value, name in _STATES.items() if value)


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    payment: Annotated[str, typer.Option(help="Only of this payment.")] = "",
    state: Annotated[str, typer.Option(help=f"Only one of {_STATE_NAMES}.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most disputes to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List disputes, newest first."""
    number = mirrors.chosen(pb.Dispute.State, "STATE_", state, what="state")
    where = DisputeFilter(payment_id=payment, state=cast("pb.Dispute.State", number))
    _KIND.list(
        ctx,
        lambda client, timeout_s: client.disputes.list_page(
            where, page_size=limit, page_token=page_token, timeout_s=timeout_s
        ),
        lambda page: page.disputes,
        as_json=as_json,
    )


@app.command()
def show(ctx: typer.Context, dispute_id: DisputeId, as_json: session.JsonFlag = False) -> None:
    """Show a dispute."""
    _KIND.show(
        ctx,
        lambda client, timeout_s: client.disputes.get(dispute_id, timeout_s=timeout_s),
        as_json=as_json,
    )


@app.command()
def evidence(
    ctx: typer.Context,
    dispute_id: DisputeId,
    *,
    text: Annotated[
        list[str] | None,
        typer.Option(help="name=text, such as product_description=...; may be repeated."),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(help="name=path of a text file, such as uncategorized_text=letter.txt."),
    ] = None,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Submit the evidence against a dispute, all at once and for good."""
    texts = session.pairs([*(text or []), *(file or [])])
    for name in session.pairs(file):
        texts[name] = _content(texts[name])
    if not texts:
        wrong = "give at least one --text name=text or --file name=path"
        raise typer.BadParameter(wrong)
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.disputes.submit_evidence(
            dispute_id, texts, idempotency_key=once, timeout_s=timeout_s
        ),
        key=key,
        as_json=as_json,
    )


@app.command()
def accept(
    ctx: typer.Context,
    dispute_id: DisputeId,
    *,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Give the disputed money up, for good."""
    _KIND.change(
        ctx,
        lambda client, once, timeout_s: client.disputes.accept(
            dispute_id, idempotency_key=once, timeout_s=timeout_s
        ),
        key=key,
        as_json=as_json,
    )


def _content(name: str) -> str:
    try:
        with pathlib.Path(name).open(encoding="utf-8") as opened:
            found = opened.read(_TEXT_BYTES_MAX)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        wrong = f"{name} can't be read: {why}; evidence is text"
        raise typer.BadParameter(wrong) from None
    return found


def _fields(found: pb.Dispute) -> dict[str, mirrors.Cell]:
    return {
        "dispute": found.id,
        "payment": found.payment_id or "not known here",
        "state": render.state(_STATES.get(found.state, str(found.state))),
        "amount": money.show(found.amount.amount_minor, found.amount.currency_code),
        "reason": found.reason,
        "evidence due by": render.moment(found.evidence_due_time),
        "evidence": "submitted" if found.has_evidence else "",
        "user": found.user_id,
        "possible now": ", ".join(found.available_actions),
        **mirrors.at_provider(found.mirror),
        "opened": render.moment(found.open_time),
        "changed": render.moment(found.update_time),
    }


def _row(found: pb.Dispute) -> list[mirrors.Cell]:
    return [
        found.id,
        found.payment_id,
        render.state(_STATES.get(found.state, str(found.state))),
        money.show(found.amount.amount_minor, found.amount.currency_code),
        found.reason,
        render.moment(found.evidence_due_time),
        mirrors.sync(found.mirror),
        render.moment(found.open_time),
    ]


_KIND = mirrors.Kind(
    group="disputes",
    fields=_fields,
    columns=["dispute", "payment", "state", ">amount", "reason", "due by", "sync", "opened"],
    row=_row,
    mirrors=lambda found: [found.mirror],
    meaning=lambda found: mirrors.of_sync(found.mirror),
)
