"""Commands that look at bindings: list, show, address, versions, diff, schema.

Owns their options and their display, and the application that the commands of
`payctl.binding_changes` and `payctl.binding_files` are added to. Called through
`payctl.commands`. Secrets are shown by slot and version; nobody can read their values.
"""

import json
from collections.abc import Iterable
from typing import Annotated

import typer
from payhub.payments.v1 import payment_pb2
from payhub.plugin.v1 import binding_pb2, plugin_service_pb2

import payhub_client
from payctl import money, render, session
from payhub_client import bindings, errors

app = typer.Typer(
    no_args_is_help=True,
    help="Bindings: configuration, secrets, limits and switches of each tenant at each plugin.",
)

BindingArgument = Annotated[
    str,
    typer.Argument(metavar="BINDING", help="Its id, or TENANT/PLUGIN such as acme/mock or */mock."),
]
ReasonOption = Annotated[str, typer.Option(help="Why; kept with the change.")]
LimitOption = Annotated[int, typer.Option(min=1, max=200, help="Most entries to show.")]

_Severity = plugin_service_pb2.Diagnostic


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Only this tenant; * is the shared ones.")] = "",
    plugin: Annotated[str, typer.Option(help="Only this plugin.")] = "",
    limit: LimitOption = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List bindings."""

    async def work(client: payhub_client.Client) -> session.Exit:
        page = await client.bindings.list_page(
            tenant_id=tenant,
            plugin_id=plugin,
            page_size=limit,
            page_token=page_token,
            timeout_s=session.timeout_s(ctx),
        )
        render.page(
            page,
            [
                "tenant",
                "plugin",
                ">generation",
                "state",
                "keys",
                "secrets",
                "limits",
                "changed",
                "id",
            ],
            (
                [
                    each.tenant_id,
                    each.plugin_id,
                    str(each.generation),
                    "disabled" if each.options.disabled else "enabled",
                    ", ".join(each.config_keys),
                    ", ".join(sorted({secret.slot for secret in each.secrets})),
                    "; ".join(limits(each.options)),
                    render.moment(each.update_time),
                    each.id,
                ]
                for each in page.bindings
            ),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context,
    binding: BindingArgument,
    *,
    generation: Annotated[
        int, typer.Option(min=0, max=session.INT64_MAX, help="As it was then; 0 is now.")
    ] = 0,
    as_json: session.JsonFlag = False,
) -> None:
    """Show a binding with its configuration; secrets by slot and version only."""

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        binding_id = await find(client, binding, timeout_s)
        found = await client.bindings.get(binding_id, generation=generation, timeout_s=timeout_s)
        if as_json:
            path = bindings.webhook_path(found.binding.tenant_id, found.binding.plugin_id)
            render.document({**render.to_dict(found), "webhook_path": path})
            return session.Exit.OK
        write(found.binding)
        render.document(json.loads(found.config_json))
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def address(
    ctx: typer.Context,
    tenant_and_plugin: Annotated[
        str, typer.Argument(metavar="TENANT/PLUGIN", help="Such as acme/mock.")
    ],
    *,
    as_json: session.JsonFlag = False,
) -> None:
    """Show where webhooks of a tenant come in, whichever binding serves it."""
    tenant, _, plugin = tenant_and_plugin.partition("/")
    if not tenant or not plugin or tenant == bindings.SHARED:
        raise typer.BadParameter("name the tenant that webhooks are for, as in acme/mock")

    async def work(client: payhub_client.Client) -> session.Exit:
        for serving in (tenant, bindings.SHARED):
            page = await client.bindings.list_page(
                tenant_id=serving,
                plugin_id=plugin,
                page_size=1,
                timeout_s=session.timeout_s(ctx),
            )
            if page.bindings:
                break
        else:
            raise errors.NotFound(
                f"no binding to {plugin} serves {tenant}; "
                "`payctl bindings list` shows what there is",
                reason="RESOURCE_NOT_FOUND",
            )
        path = bindings.webhook_path(tenant, plugin)
        if as_json:
            render.document(
                {
                    "binding_id": bindings.binding_id(tenant, plugin),
                    "served_by": serving,
                    "webhook_path": path,
                }
            )
        else:
            render.text_line(path)
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def versions(
    ctx: typer.Context,
    binding: BindingArgument,
    *,
    limit: LimitOption = 50,
    page_token: session.PageToken = "",
    as_json: session.JsonFlag = False,
) -> None:
    """List the versions of a binding, newest first: who made each, and why."""

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        page = await client.bindings.versions_page(
            await find(client, binding, timeout_s),
            page_size=limit,
            page_token=page_token,
            timeout_s=timeout_s,
        )
        render.page(
            page,
            [">generation", "when", "who", "why", "keys", "secrets", "schema"],
            (
                [
                    str(each.generation),
                    render.moment(each.create_time),
                    each.actor,
                    each.reason,
                    ", ".join(each.config_keys),
                    ", ".join(f"{secret.slot} v{secret.version}" for secret in each.secrets),
                    each.schema_digest[:19],
                ]
                for each in page.versions
            ),
            as_json=as_json,
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def diff(
    ctx: typer.Context,
    binding: BindingArgument,
    from_generation: Annotated[
        int,
        typer.Argument(
            metavar="FROM", min=1, max=session.INT64_MAX, help="The earlier generation."
        ),
    ],
    to_generation: Annotated[
        int, typer.Argument(metavar="TO", min=0, max=session.INT64_MAX, help="0 is the newest.")
    ] = 0,
    as_json: session.JsonFlag = False,
) -> None:
    """Tell two versions of a binding apart, value by value; exit code 0 either way."""

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        binding_id = await find(client, binding, timeout_s)
        changes = await client.bindings.diff(
            binding_id, from_generation, to_generation, timeout_s=timeout_s
        )
        if as_json:
            render.document({"changes": [render.to_dict(each) for each in changes]})
            return session.Exit.OK
        render.table(
            ["where", "before", "after"],
            [
                [each.json_pointer, "(a secret)", "(another secret)"]
                if each.secret
                else [each.json_pointer, each.old_json or "-", each.new_json or "-"]
                for each in changes
            ],
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@app.command()
def schema(
    ctx: typer.Context,
    plugin_id: Annotated[str, typer.Argument(metavar="PLUGIN", help="Plugin id, such as mock.")],
    *,
    version: Annotated[str, typer.Option(help="Version of it; the current one if absent.")] = "",
    as_json: session.JsonFlag = False,
) -> None:
    """Show what a plugin's configuration looks like and which secrets it needs."""

    async def work(client: payhub_client.Client) -> session.Exit:
        found = await client.bindings.schema(
            plugin_id, version=version, timeout_s=session.timeout_s(ctx)
        )
        if as_json:
            content = render.to_dict(found)
            content["json_schema"] = json.loads(found.json_schema)
            render.document(content)
            return session.Exit.OK
        render.fields({"version": found.version, "digest": found.schema_digest})
        members = json.loads(found.json_schema)
        required = set(members.get("required", []))
        render.table(
            ["member", "type", "needed", "default", "what"],
            [
                [
                    name,
                    _type(rule),
                    "yes" if name in required else "",
                    json.dumps(rule["default"]) if "default" in rule else "",
                    str(rule.get("description", "")),
                ]
                for name, rule in members.get("properties", {}).items()
                if isinstance(rule, dict)
            ],
        )
        render.table(
            ["secret", "needed", "what"],
            [
                [each.slot, "yes" if each.required else "", each.description]
                for each in found.secret_slots
            ],
        )
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


async def find(client: payhub_client.Client, text: str, timeout_s: float | None) -> str:
    """Return the id of a binding given as an id or as TENANT/PLUGIN.

    Raises errors.NotFound if the tenant has no binding of its own to that plugin.
    """
    tenant, slash, plugin = text.partition("/")
    if not slash:
        return text
    page = await client.bindings.list_page(
        tenant_id=tenant, plugin_id=plugin, page_size=1, timeout_s=timeout_s
    )
    if not page.bindings or not tenant or not plugin:
        raise errors.NotFound(
            f"tenant {tenant or '(none)'} has no binding of its own to {plugin or '(none)'}; "
            "`payctl bindings list` shows what there is"
            + (f", `payctl bindings address {text}` where its webhooks come in" if plugin else ""),
            reason="RESOURCE_NOT_FOUND",
        )
    return page.bindings[0].id


def write(found: binding_pb2.Binding) -> None:
    """Show a binding without its configuration."""
    options = found.options
    render.fields(
        {
            "binding": found.id,
            "tenant": f"{found.tenant_id} (shared)" if found.tenant_id == "*" else found.tenant_id,
            "plugin": found.plugin_id,
            "webhooks": bindings.webhook_path(found.tenant_id, found.plugin_id),
            "generation": str(found.generation),
            "state": "disabled" if options.disabled else "enabled",
            "limits": "; ".join(limits(options)),
            "day begins in": options.time_zone or ("UTC" if options.limits else ""),
            "switched off": ", ".join(switched_off(options)),
            "keys": ", ".join(found.config_keys),
            "secrets": "; ".join(
                f"{each.slot} v{each.version}"
                + (f", until {render.moment(each.expire_time)}" if each.expire_time.seconds else "")
                for each in found.secrets
            ),
            "schema": found.schema_digest[:19],
            "created": render.moment(found.create_time),
            "changed": render.moment(found.update_time),
            "deleted": render.moment(found.delete_time),
        }
    )


def limits(options: binding_pb2.BindingOptions) -> list[str]:
    """Return limits for people, one text per currency."""
    texts = []
    for each in options.limits:
        parts = [
            f"{name} {money.show(value, each.currency_code)}"
            for name, value in (
                ("min", each.min_minor),
                ("max", each.max_minor),
                ("daily", each.daily_minor),
            )
            if value
        ]
        texts.append(", ".join(parts) or f"{each.currency_code}: none")
    return texts


def switched_off(options: binding_pb2.BindingOptions) -> list[str]:
    """Return what is switched off, in the words of the options that do it."""
    kinds = payment_pb2.Operation.Kind
    methods = payment_pb2.CaptureMethod
    return [
        *(kinds.Name(each).removeprefix("KIND_").lower() for each in options.disabled_operations),
        *(
            f"{methods.Name(each).removeprefix('CAPTURE_METHOD_').lower()} capture"
            for each in options.disabled_capture_methods
        ),
    ]


def write_diagnostics(found: Iterable[plugin_service_pb2.Diagnostic]) -> bool:
    """Tell what was found in a configuration, on stderr; return whether one is an error."""
    refused = False
    for each in found:
        is_error = each.severity != _Severity.SEVERITY_WARNING
        refused = refused or is_error
        where = f"{each.json_pointer}: " if each.json_pointer else ""
        render.note(f"{'error' if is_error else 'warning'}: {where}{each.summary}")
    return refused


def _type(rule: dict[str, object]) -> str:
    for word in ("anyOf", "oneOf"):
        several = rule.get(word)
        if isinstance(several, list):
            return " or ".join(_type(each) for each in several if isinstance(each, dict))
    if "enum" in rule:
        return json.dumps(rule["enum"])
    return str(rule.get("type", rule.get("$ref", "")))
