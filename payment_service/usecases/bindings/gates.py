"""The gates a configuration passes before it is stored.

Owns the plugin's schema, the slots of secrets, and the plugin's own say. Called by the use
cases of bindings and of upgrades. Stores nothing; never lets a plugin's words carry one of
the secrets it was shown.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import grpc
from payhub.plugin.v1 import plugin_service_pb2

from payment_service.db import versions
from payment_service.domain import plugins
from payment_service.provider_client import fleet
from payment_service.usecases import catalog, context
from payment_service.usecases.bindings import schema_check, secrets
from payment_service.usecases.plugins import plugin_refusals
from servicekit import bounded, errors, sanitizer

Diagnostic = plugin_service_pb2.Diagnostic
DIAGNOSTICS_MAX = 100
SUMMARY_CHARS_MAX = 300
# Sealed for an export they still fit the contract's field.
SECRETS_BYTES_MAX = 512 * 1024
_SCHEMAS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One diagnostic; `slot` is set if it is about a secret."""

    summary: str
    json_pointer: str = ""
    slot: str = ""
    is_error: bool = True

    @property
    def field(self) -> str:
        """Where it is in a request."""
        return f"secrets/{self.slot}" if self.slot else f"config_json{self.json_pointer}"

    def message(self) -> plugin_service_pb2.Diagnostic:
        """Returns it as the contract spells it."""
        severity = Diagnostic.SEVERITY_ERROR if self.is_error else Diagnostic.SEVERITY_WARNING
        text = f"secret {self.slot}: {self.summary}" if self.slot else self.summary
        return Diagnostic(severity=severity, summary=text, json_pointer=self.json_pointer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the gates found, for which version, and whether the plugin had its say."""

    found: tuple[Found, ...]
    version: str
    schema_digest: str
    by_plugin: bool

    @property
    def refused(self) -> bool:
        """Whether something found is an error."""
        return any(each.is_error for each in self.found)

    def require(self) -> "Checked":
        """Raises CONFIG_INVALID if something found is an error."""
        if self.refused:
            raise config_invalid([each for each in self.found if each.is_error])
        return self

    def messages(self) -> list[plugin_service_pb2.Diagnostic]:
        """Returns everything found as the contract spells it."""
        return [each.message() for each in self.found]


def config_invalid(found: Sequence[Found]) -> errors.RpcError:
    """The configuration is not valid."""
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return errors.RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "CONFIG_INVALID",
        f"the configuration is not valid, nothing is stored: {first.field}: {first.summary}{more}",
        violations=[(each.field, each.summary) for each in found],
    )


def wire_config(
    config_json: str, held: secrets.Secrets, now_us: int
) -> plugin_service_pb2.BindingConfig:
    """Returns what a plugin is sent: the whole configuration with its secrets."""
    config = plugin_service_pb2.BindingConfig(config_json=config_json)
    for each in secrets.in_force(held, now_us):
        sent = config.secrets.add(slot=each.slot, version=each.version, value=each.value)
        if each.expire_us:
            sent.expire_time.FromMicroseconds(each.expire_us)
    return config


def _version(
    view: catalog.CatalogView, plugin_id: str, version: str
) -> plugins.Version | errors.RpcError:
    """Returns the version as a view knows it, or the refusal."""
    plugin = view.plugin(plugin_id)
    if plugin is None or not plugin.entry.allowed:
        return plugin_refusals.unknown(plugin_id, view.plugins)
    seen = view.versions.get(plugin_id, ())
    wanted = version or plugin.current_version
    found = next((each for each in seen if each.version == wanted), None)
    if found is None and not version and seen:
        found = max(seen, key=lambda each: each.first_seen_us)
    if found is None:
        return plugin_refusals.version_unknown(plugin_id, version, [v.version for v in seen])
    return found


class Gates:
    """Checks configurations."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx
        self._schemas: bounded.Bounded[str, versions.Schema] = bounded.Bounded(_SCHEMAS_MAX)
        self._judge = schema_check.Judge()

    async def version(self, plugin_id: str, version: str = "") -> plugins.Version:
        """Returns a version that was seen: the one named, the current, or the seen last.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN or VERSION_UNKNOWN.
        """
        found = _version(self._ctx.catalog.view, plugin_id, version)
        if isinstance(found, errors.RpcError):
            # The view may be older than what the caller was just told of a registration.
            found = _version(await self._ctx.catalog.refresh(), plugin_id, version)
        if isinstance(found, errors.RpcError):
            raise found
        return found

    async def schema(self, digest: str) -> versions.Schema:
        """Returns a schema by its digest; each is read once.

        Raises:
            LookupError: It was never stored.
        """
        if digest in self._schemas:
            self._schemas.move_to_end(digest)
            return self._schemas[digest]
        found = await self._ctx.db.read(lambda conn: versions.load_schema(conn, digest))
        if found is None:
            raise LookupError(f"no schema {digest} is stored")
        self._schemas[digest] = found
        return found

    async def check(
        self,
        plugin_id: str,
        config_json: str,
        held: secrets.Secrets,
        *,
        given: Collection[str] = (),
        version: str = "",
        check_credentials: bool = False,
        by_schema: bool = True,
    ) -> Checked:
        """Returns what schema, slots and plugin find.

        Args:
            plugin_id: Whose configuration it is.
            config_json: A JSON object.
            held: Every secret of the binding.
            given: The slots just filled; others of an unknown name are only warned of.
            version: Which version judges; '' for the current one.
            check_credentials: The plugin is to try them upstream, if it can.
            by_schema: False if the schema has judged already.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, VERSION_UNKNOWN; UNAVAILABLE if an instance
                is ready and can't do the check.
        """
        judged = await self.version(plugin_id, version)
        found: list[Found] = []
        if by_schema:
            (by_rule,) = await self.judged(judged.schema_digest, [config_json])
            found += by_rule
        schema = await self.schema(judged.schema_digest)
        found += by_slots(schema, held, given)
        by_plugin = False
        if not any(each.is_error for each in found):
            known = only_known(schema, held)
            config = wire_config(config_json, known, self._ctx.clock.now_us())
            said = await self._by_plugin(judged, config, check_credentials=check_credentials)
            by_plugin = said is not None
            found += said if said is not None else [_unheard(plugin_id)]
        hidden = unsaid(held) if found else ()
        return Checked(
            found=tuple(scrubbed(each, hidden) for each in found[:DIAGNOSTICS_MAX]),
            version=judged.version,
            schema_digest=judged.schema_digest,
            by_plugin=by_plugin,
        )

    async def judged(self, digest: str, configs: list[str]) -> list[list[Found]]:
        """Returns what the schema of *digest* finds wrong with each of *configs*.

        A schema that can't be used is found wrong with all of them.
        """
        if not configs:
            return []
        schema = await self.schema(digest)
        try:
            found = await self._judge.check(schema.json_schema, configs)
        except schema_check.CheckFailed as problem:
            return [[Found(summary=str(problem))] for _ in configs]
        return [
            [Found(summary=each.summary, json_pointer=each.json_pointer) for each in findings]
            for findings in found
        ]

    async def _by_plugin(
        self,
        judged: plugins.Version,
        config: plugin_service_pb2.BindingConfig,
        *,
        check_credentials: bool,
    ) -> list[Found] | None:
        """Returns what the plugin finds, or None if none of its instances is ready."""
        provider = self._ctx.providers.find(judged.plugin_id)
        if provider is None or judged.version not in provider.versions():
            return None
        try:
            answer = await provider.validate(
                config, version=judged.version, check_credentials=check_credentials
            )
        except fleet.Unreachable as problem:
            raise errors.unavailable(
                f"plugin {judged.plugin_id} could not check the configuration, nothing is "
                f"stored: {problem}"
            ) from None
        return [
            Found(
                summary=each.summary or "is not valid",
                json_pointer=each.json_pointer,
                is_error=each.severity != Diagnostic.SEVERITY_WARNING,
            )
            for each in answer.diagnostics
        ]


def only_known(schema: versions.Schema, held: secrets.Secrets) -> secrets.Secrets:
    """Returns the secrets whose slots a version of a plugin has."""
    known = {each.slot for each in schema.slots}
    return tuple(each for each in held if each.slot in known)


def by_slots(schema: versions.Schema, held: secrets.Secrets, given: Collection[str]) -> list[Found]:
    """Returns what is wrong with the secrets of a binding, by name, need and size."""
    known = {each.slot for each in schema.slots}
    filled = {each.slot for each in held}
    listed = ", ".join(sorted(known)) or "none"
    unknown = [
        Found(
            summary=f"is no slot of this plugin; its slots are: {listed}",
            slot=slot,
            is_error=slot in given,
        )
        for slot in sorted(filled - known)
    ]
    missing = [
        Found(summary=f"is missing: {each.description or 'required'}", slot=each.slot)
        for each in schema.slots
        if each.required and each.slot not in filled
    ]
    if sum(len(each.value) for each in held) > SECRETS_BYTES_MAX:
        slot = max(held, key=lambda each: len(each.value)).slot
        text = f"is too much: all of a binding take at most {SECRETS_BYTES_MAX // 1024} KiB"
        missing.append(Found(summary=text, slot=slot))
    return unknown + missing


def _unheard(plugin_id: str) -> Found:
    return Found(
        summary=f"no instance of {plugin_id} is ready: only its schema was checked",
        is_error=False,
    )


def unsaid(held: secrets.Secrets) -> Sequence[str]:
    """Returns how secrets may turn up in the words of a plugin that was shown them, for
    `scrubbed`: the longest first.
    """
    return sorted({text for each in held for text in sanitizer.forms(each.value)}, key=len)[::-1]


def scrubbed(found: Found, hidden: Sequence[str]) -> Found:
    """Returns a plugin's words without what is `unsaid`, and not too long."""
    return Found(
        summary=_scrub(found.summary, hidden)[:SUMMARY_CHARS_MAX],
        json_pointer=_scrub(found.json_pointer, hidden)[:SUMMARY_CHARS_MAX],
        slot=found.slot,
        is_error=found.is_error,
    )


def shown(config: plugin_service_pb2.BindingConfig) -> secrets.Secrets:
    """Returns the secrets that a plugin was shown with a configuration."""
    return tuple(
        secrets.Secret(slot=each.slot, version=each.version, value=each.value)
        for each in config.secrets
    )


def _scrub(text: str, hidden: Sequence[str]) -> str:
    """Returns *text* without *hidden*, nor the beginning of one that was cut at its end."""
    whole = text.removesuffix("…")
    rest, text = text[len(whole) :], whole
    for value in hidden:
        text = text.replace(value, sanitizer.MASK)
        start = max(0, len(text) - len(value))
        while (start := text.find(value[: sanitizer.HIDDEN_CHARS_MIN], start)) >= 0:
            if value.startswith(text[start:]):
                text = text[:start] + sanitizer.MASK
                break
            start += 1
    return sanitizer.scrub_text(text) + rest
