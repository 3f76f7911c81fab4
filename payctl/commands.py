"""The commands of payctl.

Owns the command tree and the options in front of every command. Called by `__main__`.
Never reaches around the public API: everything goes through payhub_client.
"""

import contextlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import exceptions as typer_errors

from payctl import (
    admin,
    binding_changes,
    binding_files,
    bindings,
    checkouts,
    consumers,
    customers,
    disputes,
    doubts,
    events,
    groups,
    increments,
    invoices,
    methods,
    parked,
    payments,
    plans,
    plugin_admission,
    plugin_changes,
    plugins,
    refunds,
    render,
    retry_policy,
    session,
    streams,
    subscriptions,
    trust,
    webhooks,
)
from payhub_client import errors


class _Commands(groups.Group):
    """All of them. Tells programs in JSON what is wrong with how they were called."""

    _as_json = False

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        """Read the options in front of the commands."""
        before_values = args[: args.index("--")] if "--" in args else args
        self._as_json = "--json" in before_values
        with self._told():
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with self._told():
            return super().invoke(ctx)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except typer_errors.TyperException as wrong:
            if not self._as_json:
                raise
            found = errors.InvalidRequest(wrong.format_message(), reason="USAGE")
            render.failure(found, as_json=True)
            raise typer.Exit(wrong.exit_code) from None


app = typer.Typer(
    name="payctl",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Its boxes cut the names of options off at 80 columns.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 done; 1 error; 2 wrong usage; 3 refused (declined or not sent: nothing "
        "was taken); 4 not decided yet (processing, waiting for the payer, in doubt, or tried "
        "again later: do not pay again, repeat with the same --key or wait). "
        "The API key is read from --key-file, PAYHUB_KEY, PAYHUB_KEY_FILE or ./var/dev.key."
    ),
)
for _name, _group in {
    "customers": customers.app,
    "methods": methods.app,
    "plans": plans.app,
    "subscriptions": subscriptions.app,
    "invoices": invoices.app,
    "checkout": checkouts.app,
    "disputes": disputes.app,
    "doubts": doubts.app,
    "retry-policy": retry_policy.app,
    "events": events.app,
    "keys": admin.keys,
    "plugins": plugins.app,
    "bindings": bindings.app,
    "webhooks": webhooks.app,
}.items():
    app.add_typer(_group, name=_name, cls=groups.Group)
app.command("pay")(payments.pay)
app.command("show")(payments.show)
app.command("list")(payments.list_)
app.command("confirm")(payments.confirm)
app.command("increment")(increments.increment)
app.command("capture")(payments.capture)
app.command("cancel")(payments.cancel)
app.command("refund")(refunds.refund)
app.command("refunds")(refunds.refunds)
app.command("status")(admin.status)


# Their commands are in groups that others own.
_ = (binding_changes, binding_files, consumers, parked, plugin_admission, plugin_changes, streams)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"payctl {importlib.metadata.version('payhub')}")
        raise typer.Exit


@app.callback()
def connect(
    ctx: typer.Context,
    *,
    target: Annotated[
        str, typer.Option(envvar="PAYHUB_TARGET", help="Payment service, host:port.")
    ] = "127.0.0.1:50051",
    events_target: Annotated[
        str, typer.Option(envvar="PAYHUB_EVENTS_TARGET", help="Event gateway, host:port.")
    ] = "127.0.0.1:50052",
    key_file: Annotated[
        Path | None, typer.Option(help="File that holds the API key.", show_default=False)
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            envvar="PAYHUB_CA_FILE",
            help="PEM file of the authorities that certify the services: connects with TLS.",
            show_default=False,
        ),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(
            envvar="PAYHUB_CERT_FILE",
            help="PEM file of a certificate to show, where services ask for one.",
            show_default=False,
        ),
    ] = None,
    cert_key: Annotated[
        Path | None,
        typer.Option(envvar="PAYHUB_CERT_KEY_FILE", help="Its key.", show_default=False),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=31_536_000,
            help="Seconds for each call of a command, retries included.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take payments, look at them, and follow their events."""
    del version
    ctx.obj = session.Connection(
        target=target.strip(),
        events_target=events_target.strip(),
        key_file=key_file,
        timeout_s=timeout,
        tls=trust.Files(ca=ca, cert=cert, cert_key=cert_key),
    )
