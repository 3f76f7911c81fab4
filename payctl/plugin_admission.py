"""Commands that let plugins in: allow, report.

Owns their options and the reading of what they are given. Called through `payctl.plugins`.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from payhub.plugin.v1 import manifest_pb2, plugin_pb2, plugin_service_pb2

import payhub_client
from payctl import plugin_changes, plugins, render, session
from payhub_client import errors

_OPERATORS = "<>=!~"
_REPORT_BYTES_MAX = 1024 * 1024
# Of reading an entry and putting it back changed.
_TRIES = 5


@plugins.app.command()
def allow(  # noqa: PLR0913  # one argument per option
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    *,
    reason: plugins.ReasonOption,
    endpoint: Annotated[
        str | None, typer.Option(help="host:port of an instance that does not register itself.")
    ] = None,
    endpoint_pattern: Annotated[
        str | None,
        typer.Option(help="Regular expression for the endpoints of instances that register."),
    ] = None,
    versions: Annotated[
        str | None, typer.Option(help="Versions allowed, such as '>=1.4,<2'.")
    ] = None,
    permission: Annotated[
        list[str] | None,
        typer.Option(help="Such as events:publish:user.* or events:read:payment.*; repeatable."),
    ] = None,
    needs: Annotated[
        list[str] | None,
        typer.Option(help="A plugin it needs, such as 'ledger>=2'; with ? at the end optional."),
    ] = None,
    priority: Annotated[
        int | None, typer.Option(min=-1000, max=1000, help="The higher comes first.")
    ] = None,
    requires_report: Annotated[
        bool | None,
        typer.Option(
            "--requires-report/--no-requires-report",
            help="Whether enabling needs a passing conformance report.",
        ),
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Fail if it is on the list.")] = False,
    as_json: session.JsonFlag = False,
) -> None:
    """Put a plugin on the allowlist, or change what is named of its entry."""
    dependencies = None if needs is None else [_dependency(each) for each in needs]
    changes: dict[str, Any] = {
        "static_endpoint": endpoint,
        "endpoint_pattern": endpoint_pattern,
        "version_specifier": versions,
        "permissions": permission,
        "dependencies": dependencies,
        "priority": priority,
        "requires_report": requires_report,
    }

    async def allowed(client: payhub_client.Client, timeout_s: float | None) -> plugin_pb2.Plugin:
        allowance = plugin_pb2.PluginAllowance(
            plugin_id=plugin_id, kind=plugin_service_pb2.PLUGIN_KIND_PROVIDER
        )
        revision = 0
        if not new:
            try:
                known = (await client.plugins.get(plugin_id, timeout_s=timeout_s)).plugin
            except errors.NotFound:
                pass
            else:
                revision = known.revision
                allowance.MergeFrom(known.allowance)
        for name, value in changes.items():
            if value is not None:
                allowance.ClearField(name)
                allowance.MergeFrom(plugin_pb2.PluginAllowance(**{name: value}))
        return await client.plugins.allow(
            allowance,
            reason=reason,
            must_be_new=new,
            expected_revision=revision,
            timeout_s=timeout_s,
        )

    async def work(client: payhub_client.Client) -> session.Exit:
        timeout_s = session.timeout_s(ctx)
        tries = 1
        while True:
            try:
                return plugin_changes.shown(await allowed(client, timeout_s), as_json)
            except errors.StateConflict as conflict:
                # A change of its health counts, too: what is asked for goes onto the newer entry.
                if conflict.reason != "STALE_GENERATION" or tries == _TRIES:
                    raise
                tries += 1

    session.run(ctx, work, as_json=as_json)


@plugins.app.command()
def report(
    ctx: typer.Context,
    plugin_id: plugins.PluginId,
    file: Annotated[Path, typer.Argument(help="What payhub-conform --json wrote.")],
    *,
    reason: plugins.ReasonOption,
    as_json: session.JsonFlag = False,
) -> None:
    """Store a conformance report for the version it names; exit code 1 if it is a failed one."""
    text, content = _read(file)

    async def work(client: payhub_client.Client) -> session.Exit:
        stored = await client.plugins.store_report(
            plugin_id,
            version=str(content.get("plugin_version", "")),
            schema_digest=str(content.get("schema_digest", "")),
            report_json=text,
            reason=reason,
            timeout_s=session.timeout_s(ctx),
        )
        if as_json:
            render.document(render.to_dict(stored))
        else:
            render.fields({"passed": "yes" if stored.passed else "NO", "who": stored.actor})
        return session.Exit.OK if stored.passed else session.Exit.ERROR

    session.run(ctx, work, as_json=as_json)


def _dependency(text: str) -> manifest_pb2.PluginDependency:
    """Read `ledger>=2` or, optional, `ledger>=2?`."""
    name = text.removesuffix("?").strip()
    end = next((i for i, c in enumerate(name) if c in _OPERATORS), len(name))
    if not name[:end].strip():
        raise typer.BadParameter(f"{text!r} names no plugin; write it like 'ledger>=2'")
    return manifest_pb2.PluginDependency(
        plugin_id=name[:end].strip(),
        version_specifier=name[end:].strip(),
        required=not text.endswith("?"),
    )


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        with file.open("rb") as opened:
            found = opened.read(_REPORT_BYTES_MAX + 1)
        if len(found) > _REPORT_BYTES_MAX:
            raise typer.BadParameter(f"{file} is larger than {_REPORT_BYTES_MAX} bytes")
        text = found.decode()
        content = json.loads(text)
    except OSError as problem:
        raise typer.BadParameter(f"{file} can't be read: {problem.strerror}") from None
    except ValueError:
        raise typer.BadParameter(f"{file} is not JSON") from None
    if not isinstance(content, dict):
        raise typer.BadParameter(f"{file} is no conformance report")
    return text, content
