"""Mutants of what becomes of secrets (rules 24 to 27)."""

import sys
from typing import Any

from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_mock import upstream
from provider_sdk import errors, plugin_servicer
from provider_sdk import provider as sdk
from tests.mutants import registry


def _around(method: str, make: Any) -> None:
    registry.replace(plugin_servicer.PluginServicer, method, make)


@registry.mutant("24a")
def echoes_secrets() -> None:
    """A diagnostic repeats the secret it speaks of."""

    def make(validate: Any) -> Any:
        async def echoed(self: Any, request: Any, context: Any) -> Any:
            answer = await validate(self, request, context)
            for secret in request.config.secrets:
                answer.diagnostics.add(
                    severity=ps.Diagnostic.SEVERITY_WARNING,
                    summary=f"{secret.slot} is {secret.value.decode(errors='replace')}",
                )
            return answer

        return echoed

    _around("ValidateConfig", make)


@registry.mutant("24b")
def logs_secrets() -> None:
    """A log line repeats the configuration that came."""

    def make(configure: Any) -> Any:
        async def logged(self: Any, request: Any, context: Any) -> Any:
            sys.stderr.write(f"configured with {request.config!s}\n")
            return await configure(self, request, context)

        return logged

    _around("Configure", make)


@registry.mutant("25a")
def takes_one_version_of_a_secret() -> None:
    """A slot that appears twice is refused."""

    def make(configure: Any) -> Any:
        async def strict(self: Any, request: Any, context: Any) -> Any:
            slots = [secret.slot for secret in request.config.secrets]
            if len(slots) > len(set(slots)):
                raise errors.InvalidRequest("a slot appears twice")
            return await configure(self, request, context)

        return strict

    _around("Configure", make)


@registry.mutant("26a")
def fails_over_a_wrong_key() -> None:
    """A credential that upstream refuses is a failed call."""

    def make(check: Any) -> Any:
        async def failed(self: Any, config: Any, secrets: Any) -> Any:
            found = await check(self, config, secrets)
            if found:
                raise errors.NoAnswer("the check failed")
            return found

        return failed

    registry.replace(upstream.UpstreamMock, "check_credentials", make)


@registry.mutant("26b")
def blames_the_key_for_an_outage() -> None:
    """Upstream that can't be reached is an error in the configuration."""

    def make(check: Any) -> Any:
        async def blamed(self: Any, config: Any, secrets: Any) -> Any:
            try:
                return await check(self, config, secrets)
            except (errors.Unreachable, errors.NoAnswer):
                return [sdk.Diagnostic(summary="the secret api_key does not work")]

        return blamed

    registry.replace(upstream.UpstreamMock, "check_credentials", make)


@registry.mutant("27")
def says_nothing_of_expiry() -> None:
    """Probe warns of no secret."""

    def make(probe: Any) -> Any:
        async def silent(self: Any, request: Any, context: Any) -> Any:
            answer = await probe(self, request, context)
            for binding in answer.bindings:
                del binding.secret_warnings[:]
            return answer

        return silent

    _around("Probe", make)
