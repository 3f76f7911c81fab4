"""Commands on the tenant's retry policy: show, set.

Owns their options and their display. Called through `payctl.commands`.
"""

from typing import Annotated

import typer
from payhub.payments.v1 import retry_policy_service_pb2 as pb

import payhub_client
from payctl import durations, render, session

app = typer.Typer(
    no_args_is_help=True,
    help="When payments without the payer that were refused softly are tried again.",
)


@app.command()
def show(ctx: typer.Context, as_json: session.JsonFlag = False) -> None:
    """Show the policy."""

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await client.retry_policy.get(timeout_s=session.timeout_s(ctx))
        _write(found, as_json=as_json)
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command("set")
def set_(
    ctx: typer.Context,
    delays: Annotated[
        list[str] | None,
        typer.Argument(help="Wait before each try, such as 1h 1d 3d; 1m to 30d, at most 8."),
    ] = None,
    *,
    nothing: Annotated[bool, typer.Option("--none", help="Try nothing again.")] = False,
    as_json: session.JsonFlag = False,
) -> None:
    """Replace the policy, for payments that fail from now on."""
    if nothing is bool(delays):
        wrong = "give the wait before each try, such as 1h 1d 3d, or --none"
        raise typer.BadParameter(wrong)
    lengths = [durations.parsed(each) for each in delays or []]

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        found = await client.retry_policy.set(lengths, timeout_s=timeout_s)
        _write(found, as_json=as_json)
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def _write(found: pb.RetryPolicy, *, as_json: bool) -> None:
    if as_json:
        render.document(render.to_dict(found))
        return
    waits = ", ".join(durations.show(each.seconds) for each in found.delays)
    render.fields(
        {
            "tries again after": waits or "never: what is refused stays refused",
            "set": render.moment(found.update_time) or "never",
        }
    )
