"""Runs operations of whatever kind on a Provider, each once and to its end.

Owns the checks before an operation (drain, binding, capability, currency,
fence, limit), its single flight per operation id across all services, and that
it runs to its end once started; look-ups too. Called by the servicers. Never
decides what an operation does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import answers, calls, errors, fingerprint, host, times
from servicekit import logs, sanitizer

RESERVE_MAX_S = 0.5
RESERVE_SHARE = 0.1
# Less than this and the answer is not back before the caller's deadline.
LEAST_S = 0.01

_PRICED = (
    pps.AuthorizePaymentRequest
    | pps.CapturePaymentRequest
    | pps.IncrementAuthorizationRequest
    | pps.RefundPaymentRequest
    | bps.CreatePlanRequest
    | bps.CreateSubscriptionRequest
    | cps.CreateCheckoutRequest
)

_log = logs.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
RequestT = TypeVar("RequestT", bound=fingerprint.MutationRequest)
Outcome = calls.Answer | errors.ProviderError
Method = Callable[[RequestT, calls.Call[Any]], Awaitable[calls.Result]]


class _Flight:
    """One operation in progress and everybody who waits for it."""

    __slots__ = ("outcome", "request")

    def __init__(self, request: fingerprint.MutationRequest) -> None:
        self.request = request
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()


class Operations:
    """All operations of one process, whichever service they came by.

    Args:
        host: State of this process.
    """

    def __init__(self, host: host.Host) -> None:
        self._host = host
        self._provider = host.provider
        self._flights: dict[str, _Flight] = {}

    async def run(
        self,
        request: RequestT,
        context: Context,
        needed: Sequence[capability_pb2.Capability],
        method: Method[RequestT],
        *,
        owed: answers.Owed | None = None,
    ) -> calls.Answer:
        """Runs one operation to its end and returns what became of it.

        Args:
            request: What was asked.
            context: Of the call.
            needed: Capabilities it takes, every one.
            method: What does it.
            owed: The object it must answer with once it succeeded.

        Raises:
            ProviderError: Whatever prevents an answer.
        """
        operation_id = request.context.operation_id
        bind_log(self._host, request.context.binding_id, operation_id=operation_id)
        call = self._admit(request, context, needed)
        flight = self._flights.get(operation_id)
        try:
            async with asyncio.timeout(call.timeout_s):
                if flight is None:
                    outcome = await self._lead(request, call, method, owed)
                else:
                    outcome = await self._follow(request, flight)
        except TimeoutError as error:
            raise errors.NoAnswer("no answer in time; the operation goes on, look it up") from error
        if isinstance(outcome, errors.ProviderError):
            raise outcome
        return outcome

    async def look_up(self, request: pps.GetOperationRequest, context: Context) -> calls.Answer:
        """Returns what became of an operation.

        Raises:
            NotFound: It did not take place, and the provider can promise it.
            InProgress: This process works on it.
            LookupInconclusive: Nobody knows.
        """
        bind_log(self._host, request.binding_id, operation_id=request.operation_id)
        binding = self._host.binding(request.binding_id)
        timeout_s = answer_time_s(context)
        # What arrives while upstream looks is not in its answer.
        running, asked_us = request.operation_id in self._flights, self._host.clock.now_us()
        try:
            async with asyncio.timeout(timeout_s):
                found = await self._provider.look_up(
                    request.operation_id, binding, hints=request.hints, timeout_s=timeout_s
                )
        except TimeoutError as error:
            raise errors.LookupInconclusive("no answer to the look-up in time") from error
        except errors.NotFound as error:
            # NOT_FOUND is a promise, which can't be given while the operation runs.
            if running or request.operation_id in self._flights:
                raise errors.InProgress("the operation is still being worked on") from error
            if not self._host.offers(capability_pb2.CAPABILITY_OPERATION_LOOKUP):
                raise errors.LookupInconclusive(
                    "not found, which proves nothing at this provider"
                ) from error
            if self._may_arrive(request.hints, asked_us):
                raise errors.LookupInconclusive(
                    "not found, but another instance may still be sending it"
                ) from error
            raise
        return answers.checked(found, operation_id=request.operation_id, action_allowed=True)

    def _may_arrive(self, hints: pps.OperationHints, asked_us: int) -> bool:
        """Whether a request that another instance began in time could still be under way."""
        longest_us = round(self._provider.upstream_request_max_s * 1e6)
        if not longest_us or not hints.HasField("not_after"):
            return False
        not_after_us = times.micros(hints.not_after, field="hints.not_after")
        return asked_us <= not_after_us + longest_us

    def _admit(
        self, request: RequestT, context: Context, needed: Sequence[capability_pb2.Capability]
    ) -> calls.Call[Any]:
        """Checks everything that can refuse an operation with nothing done."""
        if self._host.draining:
            raise errors.Draining("the plugin is stopping; call another instance")
        believed = request.context.config_generation
        binding = self._host.binding(request.context.binding_id, believed)
        for capability in needed:
            self._host.require(capability)
        self._require_currency(request)
        now_us = self._host.clock.now_us
        not_after_us = times.micros(request.context.not_after, field="context.not_after")
        given_s = _time_left_s(context)
        reserve_s = _reserve_s(given_s)
        fence_s = (not_after_us - now_us()) / 1e6
        left_s = min(given_s, fence_s)
        if left_s < max(reserve_s, LEAST_S):
            raise errors.TooLate(_too_late(given_s, fence_s, max(reserve_s, LEAST_S)))
        alone = isinstance(request, pps.AuthorizePaymentRequest) and request.off_session
        return calls.Call(
            operation_id=request.context.operation_id,
            binding=binding,
            attempt=request.context.attempt,
            timeout_s=left_s - reserve_s,
            not_after_us=not_after_us,
            customer_action_allowed=self._host.customer_action_offered and not alone,
            now_us=now_us,
        )

    def _require_currency(self, request: RequestT) -> None:
        if not isinstance(request, _PRICED) or not request.HasField("amount"):
            return
        code, currencies = request.amount.currency_code, self._provider.currencies
        if currencies and code not in currencies:
            text = f"{self._host.domain} does not take {code[:8]}"
            raise errors.InvalidRequest(text, [("amount.currency_code", text)])

    async def _lead(
        self,
        request: RequestT,
        call: calls.Call[Any],
        method: Method[RequestT],
        owed: answers.Owed | None,
    ) -> Outcome:
        if self._host.tracker.active >= self._provider.max_concurrent_calls:
            raise errors.Busy(f"{self._provider.max_concurrent_calls} calls are in progress")
        flight = self._flights[call.operation_id] = _Flight(request)
        return await self._host.tracker.shielded(self._fly(flight, request, call, method, owed))

    async def _follow(self, request: RequestT, flight: _Flight) -> Outcome:
        if fingerprint.of(flight.request) != fingerprint.of(request):
            raise errors.Mismatch("the operation id is in use with other parameters")
        return await asyncio.shield(flight.outcome)

    async def _fly(
        self,
        flight: _Flight,
        request: RequestT,
        call: calls.Call[Any],
        method: Method[RequestT],
        owed: answers.Owed | None,
    ) -> Outcome:
        """Runs tracked and shielded: nothing a caller does ends it."""
        outcome: Outcome
        try:
            outcome = answers.checked(
                await method(request, call),
                operation_id=call.operation_id,
                action_allowed=call.customer_action_allowed,
                owed=owed,
            )
        except errors.ProviderError as error:
            outcome = error
        except TimeoutError:
            outcome = errors.NoAnswer("the provider gave no answer in time")
        except asyncio.CancelledError:
            flight.outcome.cancel()
            raise
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException:
            hidden = sanitizer.sensitive_values(request, logs.sensitive_option())
            _log.exception("operation failed", operation_id=call.operation_id, hidden=hidden)
            outcome = errors.PluginBug("the plugin failed; the effect is unknown")
        finally:
            del self._flights[call.operation_id]
        self._note_credentials(outcome, call)
        flight.outcome.set_result(outcome)
        return outcome

    def _note_credentials(self, outcome: Outcome, call: calls.Call[Any]) -> None:
        if isinstance(outcome, errors.CredentialsRejected):
            self._host.credentials_were(accepted=False, binding=call.binding)
        elif isinstance(outcome, calls.Answer) and call.binding.secrets:
            self._host.credentials_were(accepted=True, binding=call.binding)


def bind_log(state: host.Host, binding_id: str, *, operation_id: str = "") -> None:
    """Says in every further line of the call what it is about, and no secret of the binding."""
    state.hide_secrets(binding_id)
    values = {"plugin_id": state.domain, "binding_id": binding_id}
    if operation_id:
        values["operation_id"] = operation_id
    logs.bind(**values)


def answer_time_s(context: Context) -> float:
    """Returns how long the work of a read may take so that its answer arrives, seconds."""
    left_s = _time_left_s(context)
    return left_s - _reserve_s(left_s)


def _time_left_s(context: Context) -> float:
    left_s = context.time_remaining()
    if left_s is None:
        raise errors.InvalidRequest("the call has no deadline; set a timeout on the call")
    return left_s


def _too_late(given_s: float, fence_s: float, reserve_s: float) -> str:
    """Returns what tells a call that is late from a clock that differs from core's."""
    if fence_s < 0:
        text = f"not_after passed {-fence_s:.3f} s ago by the plugin's clock"
        return text + (f"; the deadline leaves {given_s:.3f} s" if given_s > 0 else "")
    end = "not_after" if fence_s < given_s else "the deadline"
    left_s = max(min(given_s, fence_s), 0.0)
    return f"{left_s:.3f} s are left until {end}, less than the reserve of {reserve_s:.3f} s"


def _reserve_s(given_s: float) -> float:
    """Time kept back for the answer's way home."""
    return min(RESERVE_MAX_S, RESERVE_SHARE * given_s)
