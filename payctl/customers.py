"""Commands on customers: create, show, update.

Owns their options and their display. Called through `payctl.commands`.
"""

from typing import Annotated

import typer

import payhub_client
from payctl import render, session
from payhub_client import Customer

app = typer.Typer(no_args_is_help=True, help="Customers.")

CustomerId = Annotated[str, typer.Argument(help="The customer, cus_...")]
Meta = Annotated[list[str] | None, typer.Option(help="key=value; may be repeated.")]

_STATES = {value: name.removeprefix("SYNC_STATE_") for name, value in Customer.SyncState.items()}


@app.command()
def create(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="Name.")] = "",
    email: Annotated[str, typer.Option(help="Mail address.")] = "",
    phone: Annotated[str, typer.Option(help="Telephone number.")] = "",
    user: Annotated[str, typer.Option(help="Your own user.")] = "",
    meta: Meta = None,
    provider: Annotated[str, typer.Option(help="Provider; the default one if absent.")] = "",
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Make a customer, here and at the provider."""
    metadata = session.pairs(meta)

    once = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        made = await client.customers.create(
            name=name,
            email=email,
            phone=phone,
            user_id=user,
            metadata=metadata,
            provider=provider,
            idempotency_key=once,
            timeout_s=session.timeout_s(ctx),
        )
        _write(made, as_json=as_json)
        return _meaning(made)

    session.run(ctx, work, as_json=as_json, key=once)


@app.command()
def show(ctx: typer.Context, customer_id: CustomerId, as_json: session.JsonFlag = False) -> None:
    """Show a customer."""

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await client.customers.get(customer_id, timeout_s=session.timeout_s(ctx))
        _write(found, as_json=as_json)
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def update(
    ctx: typer.Context,
    customer_id: CustomerId,
    *,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    email: Annotated[str | None, typer.Option(help="New mail address.")] = None,
    phone: Annotated[str | None, typer.Option(help="New telephone number.")] = None,
    user: Annotated[str | None, typer.Option(help="New user of yours.")] = None,
    meta: Meta = None,
    key: session.KeyOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Change what is given, here and at the provider; --meta replaces all metadata."""
    metadata = session.pairs(meta) if meta else None
    if all(each is None for each in (name, email, phone, user, metadata)):
        wrong = "give something to change"
        raise typer.BadParameter(wrong)

    once = key or payhub_client.new_key()

    async def work(client: payhub_client.Client) -> session.Exit:
        changed = await client.customers.update(
            customer_id,
            name=name,
            email=email,
            phone=phone,
            user_id=user,
            metadata=metadata,
            idempotency_key=once,
            timeout_s=session.timeout_s(ctx),
        )
        _write(changed, as_json=as_json)
        return _meaning(changed)

    session.run(ctx, work, as_json=as_json, key=once)


def _meaning(customer: Customer) -> session.Exit:
    if customer.sync_state == Customer.SYNC_STATE_SYNCED:
        return session.Exit.OK
    failed = customer.sync_state == Customer.SYNC_STATE_FAILED
    return session.Exit.REFUSED if failed else session.Exit.UNDECIDED


def _write(customer: Customer, *, as_json: bool) -> None:
    if as_json:
        render.document(render.to_dict(customer))
        return
    profile = customer.profile
    metadata = ", ".join(f"{key}={text}" for key, text in sorted(profile.metadata.items()))
    render.fields(
        {
            "customer": customer.id,
            "name": profile.name,
            "email": profile.email,
            "phone": profile.phone,
            "user": profile.user_id,
            "metadata": metadata,
            "provider": customer.provider,
            "at the provider": customer.provider_customer_id,
            "sync": render.state(_STATES.get(customer.sync_state, str(customer.sync_state))),
            "created": render.moment(customer.create_time),
            "changed": render.moment(customer.update_time),
        }
    )
