"""Mutants of schema, validation and Configure (rules 14 to 23)."""

import asyncio
import dataclasses
import hashlib
import json
import os
from typing import Any

from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_mock import answers, settlement
from provider_mock import provider as mock_provider
from provider_sdk import configuration, errors, host, operations, plugin_servicer, provider
from tests.mutants import registry

_ERROR = ps.Diagnostic.SEVERITY_ERROR


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _schema(change: Any) -> None:
    """Lets *change* work on the schema; the digest fits what it leaves."""

    def make(schema_of: Any) -> Any:
        def changed(model: Any) -> tuple[str, str]:
            text, _ = schema_of(model)
            schema = json.loads(text)
            change(schema)
            text = json.dumps(schema)
            return text, _digest(text)

        return changed

    registry.replace(configuration, "schema_of", make)


def _around(method: str, make: Any) -> None:
    registry.replace(plugin_servicer.PluginServicer, method, make)


def _diagnostics(change: Any) -> None:
    """Lets *change* replace the list of diagnostics of each ValidateConfig."""

    def make(validate: Any) -> Any:
        async def changed(self: Any, request: Any, context: Any) -> Any:
            answer = await validate(self, request, context)
            left = change(list(answer.diagnostics))
            del answer.diagnostics[:]
            answer.diagnostics.extend(left)
            return answer

        return changed

    _around("ValidateConfig", make)


@registry.mutant("14a")
def takes_unknown_members() -> None:
    """The schema is not closed."""
    _schema(lambda schema: schema.pop("additionalProperties"))


@registry.mutant("14a")
def refers_to_another_document() -> None:
    """The schema has a reference that leaves it."""
    _schema(lambda schema: schema.update({"allOf": [{"$ref": "https://example.com/schema"}]}))


@registry.mutant("14b")
def digests_something_else() -> None:
    """The digest is not that of the schema as sent."""

    def make(schema_of: Any) -> Any:
        def changed(model: Any) -> tuple[str, str]:
            text, _ = schema_of(model)
            return text, _digest(f"{text}\n")

        return changed

    registry.replace(configuration, "schema_of", make)


@registry.mutant("14c")
def writes_another_schema_each_time() -> None:
    """The schema depends on the process."""
    _schema(lambda schema: schema.update({"$comment": f"made by {os.getpid()}"}))


@registry.mutant("15a")
def finds_fault_with_anything() -> None:
    """ValidateConfig finds an error in every configuration."""
    made = ps.Diagnostic(severity=_ERROR, summary="no")
    _diagnostics(lambda found: [*found, made])


@registry.mutant("15b", "15c")
def finds_fault_with_nothing() -> None:
    """ValidateConfig finds no error, whatever it is shown."""
    _diagnostics(lambda found: [])


@registry.mutant("15b")
def points_nowhere() -> None:
    """Diagnostics point at what is not there."""

    def change(found: list[ps.Diagnostic]) -> list[ps.Diagnostic]:
        for one in found:
            one.json_pointer = "/no/such/place"
        return found

    _diagnostics(change)


@registry.mutant("15c")
def overlooks_unknown_slots() -> None:
    """A secret for a slot that does not exist is no error."""
    _diagnostics(lambda found: [one for one in found if "slot" not in one.summary])


@registry.mutant("16")
def applies_what_it_validates() -> None:
    """ValidateConfig raises the generation of every binding."""

    def make(validate: Any) -> Any:
        async def applied(self: Any, request: Any, context: Any) -> Any:
            for binding in self._host.bindings():
                raised = dataclasses.replace(binding, generation=binding.generation + 1)
                self._host.put_binding(raised)
            return await validate(self, request, context)

        return applied

    _around("ValidateConfig", make)


@registry.mutant("17a")
def refuses_a_repeat() -> None:
    """Configure with the generation in force is stale."""

    def make(configure: Any) -> Any:
        async def strict(self: Any, request: Any, context: Any) -> Any:
            applied = self._host.applied_generation(request.binding_id)
            if request.generation == applied:
                raise self._stale(request.generation, applied)
            return await configure(self, request, context)

        return strict

    _around("Configure", make)


@registry.mutant("17b", control=())
def starts_again_upstream() -> None:
    """Configure asks upstream each time, applied or not."""

    def make(configure: Any) -> Any:
        async def asked(self: Any, request: Any, context: Any) -> Any:
            await self._provider.probe()
            return await configure(self, request, context)

        return asked

    _around("Configure", make)


@registry.mutant("18")
def goes_back_a_generation() -> None:
    """A lower generation is accepted."""

    def make(configure: Any) -> Any:
        async def backward(self: Any, request: Any, context: Any) -> Any:
            if request.generation < self._host.applied_generation(request.binding_id):
                self._host.drop_binding(request.binding_id)
            return await configure(self, request, context)

        return backward

    _around("Configure", make)


@registry.mutant("19")
def drops_the_old_for_an_invalid_one() -> None:
    """A Configure that fails leaves the binding without configuration."""

    def make(configure: Any) -> Any:
        async def torn(self: Any, request: Any, context: Any) -> Any:
            try:
                return await configure(self, request, context)
            except Exception:
                self._host.drop_binding(request.binding_id)
                raise

        return torn

    _around("Configure", make)


@registry.mutant("20a")
def has_a_gap_between_generations() -> None:
    """While Configure works there is no configuration in force."""

    def make(configure: Any) -> Any:
        async def gap(self: Any, request: Any, context: Any) -> Any:
            self._host.drop_binding(request.binding_id)
            await asyncio.sleep(0.02)
            return await configure(self, request, context)

        return gap

    _around("Configure", make)


@registry.mutant("20b")
def ends_calls_of_an_older_generation() -> None:
    """Calls that run while the generation changes fail."""

    def make(fly: Any) -> Any:
        async def judged(self: Any, flight: Any, request: Any, call: Any, *rest: Any) -> Any:
            outcome = await fly(self, flight, request, call, *rest)
            if self._host.applied_generation(call.binding.binding_id) != call.binding.generation:
                return errors.BindingNotConfigured("the configuration has changed")
            return outcome

        return judged

    registry.replace(operations.Operations, "_fly", make)


@registry.mutant("21")
def mixes_bindings_up() -> None:
    """A look-up finds operations of every binding."""

    def make(_: Any) -> Any:
        async def found(self: Any, operation_id: str, binding: Any, *, timeout_s: float) -> Any:
            row = await self._db.read(lambda conn: settlement.operation(conn, operation_id))
            if row is None:
                raise errors.NotFound("no such operation")
            return answers.operation(row, action_url=self._action_url)

        return found

    registry.replace(mock_provider.MockProvider, "get_operation", make)


@registry.mutant("22", "23")
def makes_up_a_configuration() -> None:
    """A binding that nobody configured works with defaults."""

    def make(binding: Any) -> Any:
        def found(self: Any, binding_id: str) -> Any:
            try:
                return binding(self, binding_id)
            except errors.BindingNotConfigured:
                config = mock_provider.MockConfig()
                return provider.Binding(
                    binding_id=binding_id, generation=1, config=config, secrets={}
                )

        return found

    registry.replace(host.Host, "binding", make)


@registry.mutant("23")
def removes_only_what_is_there() -> None:
    """RemoveBinding of what is gone fails."""

    def make(remove: Any) -> Any:
        async def strict(self: Any, request: Any, context: Any) -> Any:
            if not self._host.applied_generation(request.binding_id):
                raise errors.NotFound("no such binding")
            return await remove(self, request, context)

        return strict

    _around("RemoveBinding", make)
