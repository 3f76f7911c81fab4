"""What operators' use cases ask of a plugin: its schema, its judgement, its obedience.

Owns the calls of PluginService that are made for people, and which instances get them.
Called by the use cases of lifecycle, bindings and upgrades. Never sends an operation.
"""

import asyncio
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps

from payment_service.domain import admission
from payment_service.provider_client import configuring, lags, link, reading
from servicekit import errors, logs, validation

_log = logs.get_logger(__name__)

SCHEMA_TIMEOUT_S = 5.0
VALIDATE_TIMEOUT_S = 10.0
MIGRATE_TIMEOUT_S = 5.0
REMOVE_TIMEOUT_S = 5.0
NOTIFY_TIMEOUT_S = 2.0
# Beyond the grace period, for the answer.
DRAIN_EXTRA_S = 5.0
# What a plugin puts before the pointers of a configuration it does not take.
_CONFIG_FIELD = "config.config_json"


class Unreachable(Exception):
    """No instance answered, or not as the contract says.

    Args:
        text: What happened, for people.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Unsupported(Unreachable):
    """The version does not serve this."""


class Rejected(Exception):
    """An instance does not take a configuration; the one before stays in force.

    Args:
        diagnostics: What it found.
    """

    def __init__(self, diagnostics: list[ps.Diagnostic]) -> None:
        found = "; ".join(f"{each.json_pointer} {each.summary}".strip() for each in diagnostics)
        super().__init__(found[:256] or "it does not say why")
        self.diagnostics = diagnostics


class Asking:
    """The instances of one plugin, as far as questions go.

    Args:
        name: Plugin id.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.links: dict[str, link.Link] = {}
        self.lags = lags.Lags()

    def instances(self, version: str = "") -> list[link.Link]:
        """Returns the instances that are ready, of one version if it is named."""
        return [
            each
            for each in self.links.values()
            if each.ready and (not version or each.version == version)
        ]

    def versions(self) -> list[str]:
        """Returns the versions of ready instances, the newest first."""
        found = {each.version for each in self.instances()}
        return sorted(found, key=admission.version_order, reverse=True)

    async def schema(self, version: str = "") -> ps.GetConfigSchemaResponse:
        """Returns the schema of configurations.

        Raises:
            Unreachable: No instance of that version is ready, or it does not answer.
        """
        request = ps.GetConfigSchemaRequest()
        answer: ps.GetConfigSchemaResponse = await self._one(
            "GetConfigSchema", request, version, SCHEMA_TIMEOUT_S
        )
        return answer

    async def validate(
        self, config: ps.BindingConfig, version: str = "", *, check_credentials: bool = False
    ) -> ps.ValidateConfigResponse:
        """Returns what a version finds in a configuration, which is not applied.

        Raises:
            Unreachable: As for `schema`.
        """
        request = ps.ValidateConfigRequest(config=config, check_credentials=check_credentials)
        answer: ps.ValidateConfigResponse = await self._one(
            "ValidateConfig", request, version, VALIDATE_TIMEOUT_S
        )
        return answer

    async def migrate(
        self, request: ps.MigrateConfigRequest, version: str = ""
    ) -> ps.MigrateConfigResponse | None:
        """Returns what a version makes of a configuration for an older schema.

        None if the version has no migrations.

        Raises:
            Unreachable: As for `schema`.
        """
        try:
            answer: ps.MigrateConfigResponse = await self._one(
                "MigrateConfig", request, version, MIGRATE_TIMEOUT_S
            )
        except Unsupported:
            return None
        return answer

    async def configure(
        self, binding_id: str, generation: int, config: ps.BindingConfig, version: str = ""
    ) -> None:
        """Applies a configuration on every ready instance.

        Raises:
            Rejected: One of them does not take it.
            Unreachable: None is ready, or one does not answer.
        """
        request = ps.ConfigureRequest(binding_id=binding_id, generation=generation, config=config)
        for each in self._ready(version):
            try:
                await each.call("Configure", request, configuring.CONFIGURE_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                reason, diagnostics = _details(error)
                if reason == "STALE_GENERATION":
                    # A newer one is in force already.
                    continue
                if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                    raise Rejected(diagnostics) from error
                raise _unreachable(each, error) from error

    async def remove_binding(self, binding_id: str) -> None:
        """Has every instance forget a binding; one that does not answer is left alone."""
        request = ps.RemoveBindingRequest(binding_id=binding_id)
        for each in self.links.values():
            each.client.configuring.forget(binding_id)
        await self._all("RemoveBinding", request, "", REMOVE_TIMEOUT_S)

    async def notify(self, request: ps.NotifyLifecycleRequest) -> None:
        """Tells every instance what was decided; one that does not answer is left alone."""
        await self._all("NotifyLifecycle", request, "", NOTIFY_TIMEOUT_S)

    async def drain(self, grace_s: float, version: str = "") -> int:
        """Has every instance of a version finish its work and refuse more.

        Returns:
            How many calls still run after *grace_s*; instances that don't answer have none.
        """
        request = ps.DrainRequest()
        request.grace_period.FromMicroseconds(round(grace_s * 1_000_000))
        answers = await self._all("Drain", request, version, grace_s + DRAIN_EXTRA_S)
        for each in self.instances(version):
            each.look()
        return sum(answer.remaining_calls for answer in answers if answer is not None)

    def _ready(self, version: str) -> list[link.Link]:
        found = self.instances(version)
        if not found:
            which = f"{self.name} {version}".strip()
            problems = sorted({each.detail for each in self.links.values() if each.detail})
            raise Unreachable(
                f"no instance of {which} is ready"
                + (f": {'; '.join(problems)[:200]}" if problems else "")
            )
        return found

    async def _one(self, method: str, request: Message, version: str, timeout_s: float) -> Any:
        chosen = min(self._ready(version), key=lambda each: each.active)
        try:
            answer = await chosen.call(method, request, timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                text = f"{self.name} {chosen.version} does not serve {method}"
                raise Unsupported(text) from error
            raise _unreachable(chosen, error) from error
        if answer is None:
            raise Unreachable(f"{self.name} {chosen.version} answers {method} with garbage")
        try:
            validation.validate(answer)
        except errors.RpcError as error:
            text = f"{self.name} {chosen.version} answers {method} against the contract: "
            raise Unreachable(text + error.message[:160]) from error
        return answer

    async def _all(
        self, method: str, request: Message, version: str, timeout_s: float
    ) -> list[Any]:
        async def ask(each: link.Link) -> Any:
            try:
                return await each.call(method, request, timeout_s)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                    _log.warning(
                        "an instance did not obey",
                        provider=self.name,
                        method=method,
                        endpoint=each.endpoint,
                        code=error.code().name,
                    )
                return None

        return await asyncio.gather(*[ask(each) for each in self.instances(version)])


def _unreachable(each: link.Link, error: grpc.aio.AioRpcError) -> Unreachable:
    # Its own words are left out: nobody knows what is in them.
    return Unreachable(f"{each.plugin_id} at {each.endpoint} answers {error.code().name}")


def _details(error: grpc.aio.AioRpcError) -> tuple[str, list[ps.Diagnostic]]:
    """Returns the reason and the field violations that a status carries.

    Nothing is cut: of a part of a secret nobody could tell that it is one.
    """
    reason, found = "", []
    for detail in reading.details_of(error):
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if reading.unpacked(detail, info):
            reason = info.reason
        elif reading.unpacked(detail, bad):
            found += [
                ps.Diagnostic(
                    severity=ps.Diagnostic.SEVERITY_ERROR,
                    summary=each.description,
                    json_pointer=each.field.removeprefix(_CONFIG_FIELD),
                )
                for each in bad.field_violations
            ]
    return reason, found
