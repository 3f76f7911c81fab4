"""Commands on operations in doubt: list them, and say what the provider's records say.

Owns their options and display. Called by the command tree. Never settles without a reason.
"""

from typing import Annotated

import rich.text
import typer
from payhub.admin.v1 import doubt_service_pb2 as pb

import payhub_client
from payctl import money, payments, render, session

app = typer.Typer(no_args_is_help=True, help="Operations of which nobody knows the end.")

_BY_HAND = "an operator"


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Only of this tenant.")] = "",
    provider: Annotated[str, typer.Option(help="Only at this provider.")] = "",
    entity: Annotated[str, typer.Option(help="Only of this payment, pay_...")] = "",
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Only those that nothing looks at any more.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most doubts to show.")] = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List operations in doubt of all tenants, oldest first."""

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.doubts.list_page(
            tenant_id=tenant,
            provider=provider,
            entity_id=entity,
            needs_operator=stuck,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        render.page(
            page,
            [
                "operation", ">version", "of", "tenant", "provider", "kind", ">amount", "why",
                "next look", "can be settled from",
            ],
            (_row(each) for each in page.doubts),
            as_json=as_json,
        )  # fmt: skip
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command("settle")
def settle(
    ctx: typer.Context,
    operation_id: Annotated[str, typer.Argument(help="Operation, op_...")],
    *,
    version: Annotated[
        int, typer.Option(min=1, max=session.INT64_MAX, help="Its version, as `list` shows it.")
    ],
    took_effect: Annotated[
        bool,
        typer.Option(
            "--took-effect/--no-effect",
            help="What the provider's records say: all of it was done, or nothing was and never "
            "will be.",
        ),
    ],
    reason: Annotated[str, typer.Option(help="How you know, for those who ask later.")],
    provider_payment: Annotated[
        str, typer.Option(help="The provider's id of a payment that Payhub does not know yet.")
    ] = "",
    as_json: session.JsonFlag = False,
) -> None:
    """End a doubt by what you found at the provider; can't be taken back."""

    async def work(client: payhub_client.Client) -> session.Exit:
        payment = await client.doubts.settle(
            operation_id,
            version=version,
            took_effect=took_effect,
            reason=reason,
            provider_payment_id=provider_payment,
            timeout_s=session.timeout_s(ctx),
        )
        return payments.shown(payment, as_json=as_json, code=session.Exit.OK)

    session.run(ctx, work, as_json=as_json, look="payctl doubts list")


def _row(found: pb.Doubt) -> list[str | rich.text.Text]:
    amount = found.amount
    return [
        found.operation_id,
        str(found.version),
        found.entity_id,
        found.tenant_id,
        f"{found.provider} {found.plugin_version}".strip(),
        found.kind,
        money.show(amount.amount_minor, amount.currency_code) if found.HasField("amount") else "",
        payments.failure_text(found.failure),
        render.moment(found.next_look_time) if found.HasField("next_look_time") else _BY_HAND,
        render.moment(found.settleable_time) if found.settleable else "by the provider only",
    ]
