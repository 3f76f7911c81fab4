"""Mutants of what is served and of any message (rules 3, 7, 12, 13 and 79)."""

from typing import Any

from google.protobuf import unknown_fields
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_mock import answers
from provider_mock import provider as mock_provider
from provider_sdk import errors, fingerprint, plugin_servicer, serve
from servicekit import dispatch, health, interceptor, server
from tests.mutants import registry


@registry.mutant("3")
def forgets_the_health_of_a_service() -> None:
    """Health knows the process, and not every service."""

    def make(open_all: Any) -> Any:
        async def opened(self: Any, names: Any) -> None:
            await open_all(self, [name for name in names if "Provider" not in name])

        return opened

    registry.replace(health.Servicer, "open", make)


@registry.mutant("7")
def lists_what_it_does_not_serve() -> None:
    """One method of a listed service, of a declared capability, is not there."""

    def make(find: Any) -> Any:
        def found(self: Any, details: Any) -> Any:
            return None if details.method.endswith("/UpdateCustomer") else find(self, details)

        return found

    registry.replace(dispatch.Dispatcher, "_find", make)


@registry.mutant("12a")
def refuses_unknown_fields() -> None:
    """A configuration with a field of a later contract is refused."""

    def make(validate: Any) -> Any:
        async def checked(self: Any, request: Any, context: Any) -> Any:
            if len(unknown_fields.UnknownFieldSet(request)):
                raise errors.InvalidRequest("there is a field that is not known")
            return await validate(self, request, context)

        return checked

    registry.replace(plugin_servicer.PluginServicer, "ValidateConfig", make)


@registry.mutant("12b")
def compares_unknown_fields() -> None:
    """A repeat without a field of a later contract counts as another operation."""

    def make(of: Any) -> Any:
        def compared(request: Any) -> str:
            fields = unknown_fields.UnknownFieldSet(request)
            return f"{of(request)}{len(fields)}"

        return compared

    registry.replace(fingerprint, "of", make)


@registry.mutant("13a")
def takes_calls_without_deadline() -> None:
    """Calls without a deadline are served."""

    def make(pipeline: Any) -> Any:
        def lenient(*arguments: Any, **rest: Any) -> interceptor.Pipeline:
            made: Any = pipeline(*arguments, **rest)
            made._require_deadline = lambda _: False
            return made  # type: ignore[no-any-return]

        return lenient

    registry.replace(serve, "pipeline", make)


@registry.mutant("13b")
def takes_messages_of_any_size() -> None:
    """There is no limit to what is received."""

    def make(options: Any) -> Any:
        return server.merged(options, [("grpc.max_receive_message_length", -1)])

    registry.replace(server, "SERVER_OPTIONS", make)


@registry.mutant("10a", control=("33",))
def declares_what_does_not_work() -> None:
    """Customers are declared and can't be made."""

    def make(_: Any) -> Any:
        async def create(self: Any, request: pps.CreateCustomerRequest, call: Any) -> Any:
            raise errors.NotSupported("not yet")

        return create

    registry.replace(mock_provider.MockProvider, "create_customer", make)


@registry.mutant("79")
def counts_milliseconds_as_seconds() -> None:
    """The time of a state is milliseconds where seconds belong."""

    def make(operation: Any) -> Any:
        def told(row: Any, *, action_url: str) -> Any:
            answer = operation(row, action_url=action_url)
            answer.state_time.seconds *= 1_000
            return answer

        return told

    registry.replace(answers, "operation", make)


@registry.mutant("79")
def names_payments_with_nul() -> None:
    """The identifier of a payment ends with NUL, as a text of C does."""

    def make(operation: Any) -> Any:
        def told(row: Any, *, action_url: str) -> Any:
            answer = operation(row, action_url=action_url)
            answer.provider_operation_id += "\0"
            return answer

        return told

    registry.replace(answers, "operation", make)
