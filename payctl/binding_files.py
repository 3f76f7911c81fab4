"""Commands that move bindings between installations: export, import.

Owns the files. Called through `payctl.bindings`. A file holds secrets only if asked for, and
sealed with a passphrase that comes from a file or the environment.
"""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf import json_format
from payhub.admin.v1 import binding_admin_service_pb2 as pb

import payhub_client
from payctl import binding_options, bindings, render, session
from payhub_client import errors

FORMAT = 1
FILE_BYTES_MAX = 64 * 1024 * 1024
IMPORTED_AT_ONCE = 50
_PASSPHRASE_BYTES_MAX = 1024

PassphraseFileOption = Annotated[
    str | None, typer.Option("--passphrase-file", help="File with the passphrase; - is stdin.")
]
PassphraseEnvOption = Annotated[
    str | None, typer.Option("--passphrase-env", help="Variable that holds the passphrase.")
]
_Result = pb.ImportResult
_Send = Callable[..., Awaitable[pb.ImportBindingsResponse]]


@bindings.app.command("export")
def export(
    ctx: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Only this tenant.")] = "",
    plugin: Annotated[str, typer.Option(help="Only this plugin.")] = "",
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Secrets too, sealed with a passphrase.")
    ] = False,
    passphrase_file: PassphraseFileOption = None,
    passphrase_env: PassphraseEnvOption = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write, readable by you alone; else stdout.")
    ] = None,
    as_json: session.JsonFlag = False,
) -> None:
    """Write bindings as a JSON document that `import` takes."""
    passphrase = _passphrase(passphrase_file, passphrase_env)
    if with_secrets and passphrase is None:
        raise typer.BadParameter("--with-secrets needs --passphrase-file or --passphrase-env")
    if passphrase is not None and not with_secrets:
        raise typer.BadParameter("a passphrase is for --with-secrets")

    async def work(client: payhub_client.Client) -> session.Exit:
        exported: list[dict[str, object]] = []
        token = ""
        while True:
            page = await client.bindings.export_page(
                tenant_id=tenant,
                plugin_id=plugin,
                passphrase=passphrase,
                page_token=token,
                timeout_s=session.timeout_s(ctx),
            )
            exported += [
                json_format.MessageToDict(each, preserving_proto_field_name=True)
                for each in page.bindings
            ]
            token = page.next_page_token
            if not token:
                break
        document = {"format": FORMAT, "bindings": exported}
        if out is None:
            render.document(document)
        else:
            _write(out, json.dumps(document, indent=2) + "\n")
            if as_json:
                render.document({"file": str(out), "bindings": len(exported)})
            else:
                render.fields({"file": str(out), "bindings": str(len(exported))})
        return session.Exit.OK

    session.run(ctx, work, as_json=as_json)


@bindings.app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="What export or a backup wrote; - is stdin.")],
    *,
    reason: bindings.ReasonOption,
    passphrase_file: PassphraseFileOption = None,
    passphrase_env: PassphraseEnvOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Update bindings that exist and differ.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and change nothing.")
    ] = False,
    as_json: session.JsonFlag = False,
) -> None:
    """Make or update bindings from a file: all, or none if one is refused (exit code 1)."""
    passphrase = _passphrase(passphrase_file, passphrase_env) or ""
    exported = _read(file)
    parts = [
        exported[start : start + IMPORTED_AT_ONCE]
        for start in range(0, len(exported), IMPORTED_AT_ONCE)
    ]

    async def work(client: payhub_client.Client) -> session.Exit:
        async def send(part: list[pb.ExportedBinding], *, dry: bool) -> pb.ImportBindingsResponse:
            return await client.bindings.import_(
                part,
                passphrase=passphrase,
                dry_run=dry,
                overwrite=overwrite,
                reason=reason,
                timeout_s=session.timeout_s(ctx),
            )

        results, stored = await _imported(send, parts, dry_run=dry_run)
        _show(results, stored=stored, of=len(exported), as_json=as_json)
        return session.Exit.ERROR if _any_refused(results) else session.Exit.OK

    session.run(ctx, work, as_json=as_json)


async def _imported(
    send: _Send, parts: list[list[pb.ExportedBinding]], *, dry_run: bool
) -> tuple[list[pb.ImportResult], int]:
    """Return what became of each binding, and how many are stored.

    One call takes 50: with more, everything is checked before anything is changed.
    """
    results: list[pb.ImportResult] = []
    if dry_run or len(parts) > 1:
        for part in parts:
            results += (await send(part, dry=True)).results
    if dry_run or _any_refused(results):
        return results, 0
    results, stored = [], 0
    for part in parts:
        try:
            answer = await send(part, dry=False)
        except errors.PayhubError:
            if stored:
                render.note(_told(stored, sum(map(len, parts))))
            raise
        results += answer.results
        if not answer.applied:
            break
        stored += len(part)
    return results, stored


def _any_refused(results: list[pb.ImportResult]) -> bool:
    return any(each.outcome == _Result.OUTCOME_REFUSED for each in results)


def _show(results: list[pb.ImportResult], *, stored: int, of: int, as_json: bool) -> None:
    if as_json:
        shown = [render.to_dict(each) for each in results]
        applied = 0 < stored == of
        render.document({"results": shown, "applied": applied, "stored": stored})
        return
    names = _Result.Outcome
    render.table(
        ["tenant", "plugin", "outcome", "found"],
        [
            [
                each.tenant_id,
                each.plugin_id,
                names.Name(each.outcome).removeprefix("OUTCOME_").lower(),
                "; ".join(f"{d.json_pointer} {d.summary}".strip() for d in each.diagnostics),
            ]
            for each in results
        ],
    )
    render.note(_told(stored, of))


def _told(stored: int, of: int) -> str:
    if 0 < stored < of:
        return f"the first {stored} were stored, the other {of - stored} were not"
    return "stored" if stored else "nothing was stored"


def _read(file: str) -> list[pb.ExportedBinding]:
    content = binding_options.read(file, FILE_BYTES_MAX)
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            raise typer.BadParameter(f"{file} has format {document['format']}, not {FORMAT}")
        return [json_format.ParseDict(each, pb.ExportedBinding()) for each in document["bindings"]]
    except (ValueError, KeyError, TypeError, json_format.ParseError):
        text = f"{file} is not what `payctl bindings export` or a backup writes"
        raise typer.BadParameter(text) from None


def _passphrase(file: str | None, variable: str | None) -> str | None:
    if file is not None and variable is not None:
        raise typer.BadParameter("give --passphrase-file or --passphrase-env, not both")
    if variable is not None:
        if not os.environ.get(variable):
            raise typer.BadParameter(f"the variable {variable} is not set")
        return os.environ[variable]
    if file is None:
        return None
    try:
        text = binding_options.read(file, _PASSPHRASE_BYTES_MAX).decode()
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not text") from None
    return text.removesuffix("\n").removesuffix("\r")


def _write(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(descriptor, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    except OSError as error:
        raise typer.BadParameter(f"{path} can't be written: {error.strerror}") from None
