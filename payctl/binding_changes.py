"""Commands that change bindings: create, update, validate, rollback, delete, default, rotate-key.

Owns their options. Called through `payctl.bindings`. Never changes what it has not seen: the
generation that was read goes with every change, and with a deletion the one that was given: what
is gone already, or can't be decrypted any more, is deleted too.
"""

from typing import Annotated, Any

import typer

import payhub_client
from payctl import binding_options, bindings, render, session

TenantArgument = Annotated[
    str, typer.Argument(metavar="TENANT", help="Tenant; * makes the shared binding.")
]
PluginArgument = Annotated[str, typer.Argument(metavar="PLUGIN", help="Plugin id, such as mock.")]
ExpectOption = Annotated[
    int,
    typer.Option(
        min=0, max=session.INT64_MAX, help="Generation you have seen; 0 takes what there is."
    ),
]
ConfigOption = Annotated[
    str | None, typer.Option("--config", help="Configuration as JSON; no secrets in it.")
]
ConfigFileOption = Annotated[
    str | None, typer.Option("--config-file", help="File with the configuration; - is stdin.")
]
SecretFileOption = Annotated[
    list[str] | None,
    typer.Option("--secret-file", help="SLOT=FILE with a secret; - is stdin; may be repeated."),
]
SecretEnvOption = Annotated[
    list[str] | None,
    typer.Option("--secret-env", help="SLOT=VARIABLE that holds a secret; may be repeated."),
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        help="'EUR min=1.00 max=500 daily=10000' in major units, or 'EUR none'; may be repeated.",
    ),
]
ZoneOption = Annotated[
    str | None, typer.Option("--zone", help="IANA zone whose days count, such as Europe/Berlin.")
]
OffOption = Annotated[
    list[str] | None,
    typer.Option(
        "--off",
        help="Switch an operation off, such as refund; or manual-capture, automatic-capture.",
    ),
]
OnOption = Annotated[
    list[str] | None, typer.Option("--on", help="Switch it on again; may be repeated.")
]
DisabledOption = Annotated[
    bool | None,
    typer.Option("--disabled/--enabled", help="Whether it takes no new payments."),
]


@bindings.app.command()
def create(  # noqa: PLR0913  # one argument per option
    ctx: typer.Context,
    tenant: TenantArgument,
    plugin: PluginArgument,
    *,
    reason: bindings.ReasonOption,
    config: ConfigOption = None,
    config_file: ConfigFileOption = None,
    secret_file: SecretFileOption = None,
    secret_env: SecretEnvOption = None,
    limit: LimitOption = None,
    zone: ZoneOption = None,
    off: OffOption = None,
    disabled: DisabledOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Make the binding of a tenant to a plugin."""
    text = binding_options.read_config(config, config_file)
    secrets = binding_options.read_secrets(secret_file, secret_env)
    options = binding_options.changed_options(
        None, limit=limit, zone=zone, off=off, on=None, disabled=disabled
    )

    async def work(client: payhub_client.Client) -> session.Exit:
        made = await client.bindings.create(
            tenant,
            plugin,
            config_json=text or "",
            options=options,
            secrets=secrets,
            reason=reason,
            timeout_s=session.timeout_s(ctx),
        )
        return _done(made, as_json=as_json)

    session.run(ctx, work, as_json=as_json)


@bindings.app.command()
def update(  # noqa: PLR0913  # one argument per option
    ctx: typer.Context,
    binding: bindings.BindingArgument,
    *,
    reason: bindings.ReasonOption,
    expect: ExpectOption = 0,
    config: ConfigOption = None,
    config_file: ConfigFileOption = None,
    secret_file: SecretFileOption = None,
    secret_env: SecretEnvOption = None,
    remove_secret: Annotated[
        list[str] | None, typer.Option(help="Slot to empty; may be repeated.")
    ] = None,
    keep_old_h: Annotated[
        float,
        typer.Option(
            min=0, max=87_600, help="Hours for which replaced secrets still verify signatures."
        ),
    ] = 0.0,
    limit: LimitOption = None,
    zone: ZoneOption = None,
    off: OffOption = None,
    on: OnOption = None,
    disabled: DisabledOption = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Change what is given of a binding; everything else stays."""
    text = binding_options.read_config(config, config_file)
    secrets = binding_options.read_secrets(secret_file, secret_env, keep_old_h=keep_old_h)
    asked = any(each is not None for each in (limit, zone, off, on, disabled))
    if text is None and not (asked or secrets or remove_secret):
        # It would be stored as one more version.
        wrong = "give something to change"
        raise typer.BadParameter(wrong)

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        binding_id = await bindings.find(client, binding, timeout_s)
        now = (await client.bindings.get(binding_id, timeout_s=timeout_s)).binding
        options = None
        if asked:
            options = binding_options.changed_options(
                now.options, limit=limit, zone=zone, off=off, on=on, disabled=disabled
            )
        changed = await client.bindings.update(
            binding_id,
            expected_generation=expect or now.generation,
            config_json=text,
            options=options,
            secrets=secrets,
            removed_secret_slots=remove_secret or (),
            reason=reason,
            timeout_s=timeout_s,
        )
        return _done(changed, as_json=as_json)

    session.run(ctx, work, as_json=as_json)


@bindings.app.command()
def validate(
    ctx: typer.Context,
    tenant: TenantArgument,
    plugin: PluginArgument,
    *,
    config: ConfigOption = None,
    config_file: ConfigFileOption = None,
    secret_file: SecretFileOption = None,
    secret_env: SecretEnvOption = None,
    version: Annotated[str, typer.Option(help="Version to check against.")] = "",
    check_credentials: Annotated[
        bool, typer.Option("--check-credentials", help="Also try them upstream, if it can.")
    ] = False,
    as_json: session.JsonFlag = False,
) -> None:
    """Check what create or update would store, and store nothing; exit code 1 if it is wrong."""
    text = binding_options.read_config(config, config_file)
    secrets = binding_options.read_secrets(secret_file, secret_env)

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await client.bindings.validate(
            tenant,
            plugin,
            config_json=text or "",
            secrets=secrets,
            version=version,
            check_credentials=check_credentials,
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            render.document(render.to_dict(found))
        refused = bindings.write_diagnostics(found.diagnostics)
        if not as_json and not refused:
            by = "schema and plugin" if found.checked_by_plugin else "schema alone"
            render.fields({"valid": f"for {plugin} {found.version}, by {by}"})
        return session.Exit.ERROR if refused else session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@bindings.app.command()
def rollback(
    ctx: typer.Context,
    binding: bindings.BindingArgument,
    to_generation: Annotated[
        int,
        typer.Argument(
            metavar="GENERATION",
            min=1,
            max=session.INT64_MAX,
            help="What to go back to; `bindings versions` lists them.",
        ),
    ],
    *,
    reason: bindings.ReasonOption,
    as_json: session.JsonFlag = False,
) -> None:
    """Make a new version with what an earlier one held, secrets included."""

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        binding_id = await bindings.find(client, binding, timeout_s)
        now = (await client.bindings.get(binding_id, timeout_s=timeout_s)).binding
        changed = await client.bindings.roll_back(
            binding_id,
            to_generation,
            expected_generation=now.generation,
            reason=reason,
            timeout_s=timeout_s,
        )
        return _done(changed, as_json=as_json)

    session.run(ctx, work, as_json=as_json)


@bindings.app.command()
def delete(
    ctx: typer.Context,
    binding: bindings.BindingArgument,
    *,
    reason: bindings.ReasonOption,
    expect: ExpectOption = 0,
    as_json: session.JsonFlag = False,
) -> None:
    """Delete a binding with all its versions and destroy its secrets."""

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        binding_id = await bindings.find(client, binding, timeout_s)
        gone = await client.bindings.delete(
            binding_id, reason=reason, expected_generation=expect, timeout_s=timeout_s
        )
        if as_json:
            render.document(render.to_dict(gone))
        else:
            bindings.write(gone)
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@bindings.app.command()
def default(
    ctx: typer.Context,
    plugin: Annotated[
        str | None, typer.Argument(metavar="[PLUGIN]", help="New default; absent shows it.")
    ] = None,
    *,
    tenant: Annotated[str, typer.Option(help="Tenant; absent is the installation.")] = "",
    unset: Annotated[bool, typer.Option("--unset", help="Have none.")] = False,
    reason: Annotated[str, typer.Option(help="Why; needed to change it.")] = "",
    as_json: session.JsonFlag = False,
) -> None:
    """Show or set which provider serves payments that name none."""
    if plugin and unset:
        raise typer.BadParameter("give a plugin or --unset, not both")
    if (plugin or unset) and not reason:
        raise typer.BadParameter("--reason is needed to change it")

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        if plugin or unset:
            found = await client.bindings.set_default(
                tenant, plugin or "", reason=reason, timeout_s=timeout_s
            )
        else:
            found = await client.bindings.default(tenant, timeout_s=timeout_s)
        if as_json:
            render.document(render.to_dict(found))
            return session.Exit.OK
        of_whom = "the installation" if not found.tenant_id else found.tenant_id
        inherited = " (of the installation)" if found.inherited and found.plugin_id else ""
        render.fields({"for": of_whom, "provider": f"{found.plugin_id or 'none'}{inherited}"})
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@bindings.app.command("rotate-key")
def rotate_key(
    ctx: typer.Context, *, reason: bindings.ReasonOption, as_json: session.JsonFlag = False
) -> None:
    """Encrypt all stored secrets with the newest encryption key of the service."""

    async def work(client: payhub_client.Client) -> session.Exit:
        done = await client.bindings.rotate_key(reason=reason, timeout_s=session.timeout_s(ctx))
        if as_json:
            render.document(render.to_dict(done))
        else:
            render.fields(
                {
                    "encrypted anew": str(done.rotated_count),
                    "under the newest key before": str(done.current_count),
                }
            )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


def _done(found: Any, *, as_json: bool) -> session.Exit:
    if as_json:
        render.document(render.to_dict(found))
    else:
        bindings.write(found.binding)
    bindings.write_diagnostics(found.diagnostics)
    return session.Exit.OK
