"""Serves PaymentProviderService on top of a Provider.

Owns the checks before an operation (drain, binding, capability, currency,
fence, limit), its single flight per operation id, and that it runs to its end
once started. Called by gRPC. Never decides what an operation does.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2, payment_provider_service_pb2_grpc
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors, fingerprint, host, provider, times, tracing
from servicekit import logs, sanitizer

RESERVE_MAX_S = 0.5
RESERVE_SHARE = 0.1
# Less than this and the answer is not back before the caller's deadline.
LEAST_S = 0.01
# As the contract has them.
ID_BYTES_MAX = 255
ACTION_BYTES_MAX = 4_096

_log = logs.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
RequestT = TypeVar("RequestT", bound=fingerprint.MutationRequest)
Outcome = operation_pb2.Operation | errors.ProviderError
Method = Callable[[RequestT, provider.Call[Any]], Awaitable[operation_pb2.Operation]]


class _Flight:
    """One operation in progress and everybody who waits for it."""

    __slots__ = ("outcome", "request")

    def __init__(self, request: fingerprint.MutationRequest) -> None:
        self.request = request
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()


class PaymentProviderServicer(payment_provider_service_pb2_grpc.PaymentProviderServiceServicer):
    """Adapts a Provider to the contract."""

    def __init__(self, host: host.Host) -> None:
        self._host = host
        self._provider = host.provider
        self._flights: dict[str, _Flight] = {}

    async def AuthorizePayment(  # noqa: D102
        self, request: pps.AuthorizePaymentRequest, context: Context
    ) -> pps.AuthorizePaymentResponse:
        automatic = request.capture_method == pps.CAPTURE_METHOD_AUTOMATIC
        needed = (
            capability_pb2.CAPABILITY_SALE
            if automatic
            else capability_pb2.CAPABILITY_MANUAL_CAPTURE
        )
        operation = await self._mutate(request, context, needed, self._provider.authorize)
        return pps.AuthorizePaymentResponse(operation=operation)

    async def CapturePayment(  # noqa: D102
        self, request: pps.CapturePaymentRequest, context: Context
    ) -> pps.CapturePaymentResponse:
        needed = capability_pb2.CAPABILITY_MANUAL_CAPTURE
        operation = await self._mutate(request, context, needed, self._provider.capture)
        return pps.CapturePaymentResponse(operation=operation)

    async def IncrementAuthorization(  # noqa: D102
        self, request: pps.IncrementAuthorizationRequest, context: Context
    ) -> pps.IncrementAuthorizationResponse:
        needed = capability_pb2.CAPABILITY_INCREMENTAL_AUTHORIZATION
        operation = await self._mutate(request, context, needed, self._provider.increment)
        return pps.IncrementAuthorizationResponse(operation=operation)

    async def VoidPayment(  # noqa: D102
        self, request: pps.VoidPaymentRequest, context: Context
    ) -> pps.VoidPaymentResponse:
        needed = capability_pb2.CAPABILITY_VOID
        operation = await self._mutate(request, context, needed, self._provider.void)
        return pps.VoidPaymentResponse(operation=operation)

    async def RefundPayment(  # noqa: D102
        self, request: pps.RefundPaymentRequest, context: Context
    ) -> pps.RefundPaymentResponse:
        needed = capability_pb2.CAPABILITY_REFUND
        operation = await self._mutate(request, context, needed, self._provider.refund)
        return pps.RefundPaymentResponse(operation=operation)

    async def CreateCustomer(  # noqa: D102
        self, request: pps.CreateCustomerRequest, context: Context
    ) -> pps.CreateCustomerResponse:
        needed = capability_pb2.CAPABILITY_CUSTOMERS
        operation = await self._mutate(request, context, needed, self._provider.create_customer)
        return pps.CreateCustomerResponse(operation=operation)

    async def UpdateCustomer(  # noqa: D102
        self, request: pps.UpdateCustomerRequest, context: Context
    ) -> pps.UpdateCustomerResponse:
        needed = capability_pb2.CAPABILITY_CUSTOMERS
        operation = await self._mutate(request, context, needed, self._provider.update_customer)
        return pps.UpdateCustomerResponse(operation=operation)

    async def GetOperation(  # noqa: D102
        self, request: pps.GetOperationRequest, context: Context
    ) -> pps.GetOperationResponse:
        return pps.GetOperationResponse(operation=await self._look_up(request, context))

    async def _look_up(
        self, request: pps.GetOperationRequest, context: Context
    ) -> operation_pb2.Operation:
        self._bind(request.operation_id, request.binding_id)
        binding = self._host.binding(request.binding_id)
        left_s = _time_left_s(context)
        timeout_s = left_s - _reserve_s(left_s)
        running = request.operation_id in self._flights
        try:
            async with asyncio.timeout(timeout_s):
                return await self._provider.get_operation(
                    request.operation_id, binding, timeout_s=timeout_s
                )
        except TimeoutError as error:
            raise errors.LookupInconclusive("no answer to the look-up in time") from error
        except errors.NotFound as error:
            # NOT_FOUND is a promise, which can't be given while the operation runs.
            if running or request.operation_id in self._flights:
                raise errors.InProgress("the operation is still being worked on") from error
            if capability_pb2.CAPABILITY_OPERATION_LOOKUP not in self._provider.capabilities:
                raise errors.LookupInconclusive(
                    "not found, which proves nothing at this provider"
                ) from error
            raise

    async def _mutate(
        self,
        request: RequestT,
        context: Context,
        needed: capability_pb2.Capability,
        method: Method[RequestT],
    ) -> operation_pb2.Operation:
        """Runs one operation to its end; raises the status of whatever prevents an answer."""
        operation_id = request.context.operation_id
        self._bind(operation_id, request.context.binding_id)
        call = self._admit(request, context, needed)
        flight = self._flights.get(operation_id)
        try:
            async with asyncio.timeout(call.timeout_s):
                if flight is None:
                    outcome = await self._lead(request, call, method)
                else:
                    outcome = await self._follow(request, flight)
        except TimeoutError as error:
            raise errors.NoAnswer("no answer in time; the operation goes on, look it up") from error
        if isinstance(outcome, errors.ProviderError):
            raise outcome
        return outcome

    def _bind(self, operation_id: str, binding_id: str) -> None:
        """Says in every further line of the call what it is about."""
        values = {
            "plugin_id": self._host.domain,
            "operation_id": operation_id,
            "binding_id": binding_id,
        }
        trace_id = tracing.trace_id()
        if trace_id:
            values["trace_id"] = trace_id
        logs.bind(**values)

    def _admit(
        self, request: RequestT, context: Context, needed: capability_pb2.Capability
    ) -> provider.Call[Any]:
        """Checks everything that can refuse an operation with nothing done."""
        if self._host.draining:
            raise errors.Draining("the plugin is stopping; call another instance")
        binding = self._host.binding(request.context.binding_id)
        self._require(needed)
        if not isinstance(
            request, pps.VoidPaymentRequest | pps.CreateCustomerRequest | pps.UpdateCustomerRequest
        ):
            self._require_currency(request.amount.currency_code)
        now_us = self._host.clock.now_us
        not_after_us = times.micros(request.context.not_after, field="context.not_after")
        given_s = _time_left_s(context)
        reserve_s = _reserve_s(given_s)
        left_s = min(given_s, (not_after_us - now_us()) / 1e6)
        if left_s < max(reserve_s, LEAST_S):
            raise errors.TooLate(
                f"{max(left_s, 0.0):.3f} s are left until not_after or the deadline, "
                f"less than the reserve of {max(reserve_s, LEAST_S):.3f} s"
            )
        return provider.Call(
            operation_id=request.context.operation_id,
            binding=binding,
            attempt=request.context.attempt,
            timeout_s=left_s - reserve_s,
            not_after_us=not_after_us,
            customer_action_allowed=self._host.customer_action_offered,
            now_us=now_us,
        )

    def _require(self, needed: capability_pb2.Capability) -> None:
        plugin = self._provider
        if needed in plugin.capabilities and needed not in plugin.disabled:
            return
        name = capability_pb2.Capability.Name(needed)
        if needed in plugin.disabled:
            raise errors.NotSupported(f"{name} is disabled: {plugin.disabled[needed]}")
        raise errors.NotSupported(f"{self._host.domain} does not offer {name}")

    def _require_currency(self, code: str) -> None:
        currencies = self._provider.currencies
        if currencies and code not in currencies:
            text = f"{self._host.domain} does not take {code[:8]}"
            raise errors.InvalidRequest(text, [("amount.currency_code", text)])

    async def _lead(
        self, request: RequestT, call: provider.Call[Any], method: Method[RequestT]
    ) -> Outcome:
        if self._host.tracker.active >= self._provider.max_concurrent_calls:
            raise errors.Busy(f"{self._provider.max_concurrent_calls} calls are in progress")
        flight = self._flights[call.operation_id] = _Flight(request)
        return await self._host.tracker.shielded(self._fly(flight, request, call, method))

    async def _follow(self, request: RequestT, flight: _Flight) -> Outcome:
        if fingerprint.of(flight.request) != fingerprint.of(request):
            raise errors.Mismatch("the operation id is in use with other parameters")
        return await asyncio.shield(flight.outcome)

    async def _fly(
        self,
        flight: _Flight,
        request: RequestT,
        call: provider.Call[Any],
        method: Method[RequestT],
    ) -> Outcome:
        """Runs tracked and shielded: nothing a caller does ends it."""
        outcome: Outcome
        try:
            outcome = _checked(await method(request, call), call)
        except errors.ProviderError as error:
            outcome = error
        except TimeoutError:
            outcome = errors.NoAnswer("the provider gave no answer in time")
        except asyncio.CancelledError:
            flight.outcome.cancel()
            raise
        except Exception:
            hidden = sanitizer.sensitive_values(request, logs.sensitive_option())
            _log.exception("operation failed", operation_id=call.operation_id, hidden=hidden)
            outcome = errors.PluginBug("the plugin failed; the effect is unknown")
        finally:
            del self._flights[call.operation_id]
        self._note_credentials(outcome, call)
        flight.outcome.set_result(outcome)
        return outcome

    def _note_credentials(self, outcome: Outcome, call: provider.Call[Any]) -> None:
        if isinstance(outcome, errors.CredentialsRejected):
            self._host.credentials_were(accepted=False, binding=call.binding)
        elif isinstance(outcome, operation_pb2.Operation) and call.binding.secrets:
            self._host.credentials_were(accepted=True, binding=call.binding)


def _time_left_s(context: Context) -> float:
    left_s = context.time_remaining()
    if left_s is None:
        raise errors.InvalidRequest("the call has no deadline; set a timeout on the call")
    return left_s


def _reserve_s(given_s: float) -> float:
    """Time kept back for the answer's way home."""
    return min(RESERVE_MAX_S, RESERVE_SHARE * given_s)


def _checked(operation: operation_pb2.Operation, call: provider.Call[Any]) -> Outcome:
    """Holds a provider to the contract, so that core never has to guess."""
    if not operation.operation_id:
        # A copy: the provider may keep the message it returned.
        operation = copy.deepcopy(operation)
        operation.operation_id = call.operation_id
    if operation.operation_id != call.operation_id:
        return errors.PluginBug("the provider answered for another operation")
    if operation.state == operation_pb2.Operation.STATE_UNSPECIFIED:
        return errors.PluginBug("the provider answered without a state")
    action = operation.state == operation_pb2.Operation.STATE_ACTION_REQUIRED
    if action and not call.customer_action_allowed:
        return errors.PluginBug("the provider asks for a customer action core did not offer")
    return _within_limits(operation)


def _within_limits(operation: operation_pb2.Operation) -> Outcome:
    """Holds an answer to the contract's sizes; core would refuse a longer one as a whole."""
    if len(operation.decline.provider_code.encode()) > errors.CODE_BYTES_MAX:
        operation = copy.deepcopy(operation)
        operation.decline.provider_code = errors.cut(operation.decline.provider_code)
    texts = (
        ("provider_object_id", operation.provider_object_id, ID_BYTES_MAX),
        ("provider_operation_id", operation.provider_operation_id, ID_BYTES_MAX),
        ("action.redirect_url", operation.action.redirect_url, ACTION_BYTES_MAX),
        ("action.client_secret", operation.action.client_secret, ACTION_BYTES_MAX),
    )
    for name, text, bytes_max in texts:
        if len(text.encode()) > bytes_max:
            return errors.PluginBug(f"the provider answered with {name} above {bytes_max} bytes")
    return operation
