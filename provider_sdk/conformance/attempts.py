"""Operations of every kind, ready to be sent.

Owns preparing a payment for each kind of operation the provider offers and the
request that would carry it out. Called by checks that hold for every kind.
Never sends the request itself.
"""

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import Any

from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import checks, refusal
from provider_sdk.conformance import run as runs
from provider_sdk.conformance import upstream as upstreams


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One operation that can be sent, any number of times.

    Args:
        name: What it is, with its article: `a capture`.
        binding: Whom it is for.
        method_name: Of the service.
        request: What to send.
        service: The stub of the run that has it.
    """

    name: str
    binding: bindings.Binding
    method_name: str
    request: Any
    service: str = "provider"

    @property
    def method(self) -> Any:
        """The stub's method, over the connection there is now."""
        return getattr(getattr(self.binding.run, self.service), self.method_name)

    @property
    def operation_id(self) -> str:
        """Id of the operation."""
        return str(self.request.context.operation_id)

    async def send(self, *, timeout_s: float = 10.0) -> operation_pb2.Operation:
        """Sends it once. Raises Refused."""
        operation: operation_pb2.Operation = (await self.answer(timeout_s=timeout_s)).operation
        return operation

    async def answer(self, *, timeout_s: float = 10.0) -> Any:
        """Sends it once and returns the whole answer, objects included. Raises Refused."""
        return await self.binding.run.call(self.method, self.request, timeout_s=timeout_s)

    def again(self) -> "Attempt":
        """Returns the next attempt of the same operation, with a fresh fence."""
        request = type(self.request)()
        request.CopyFrom(self.request)
        fresh = self.binding.context(
            operation_id=self.operation_id, attempt=self.request.context.attempt + 1
        )
        request.context.CopyFrom(fresh)
        return dataclasses.replace(self, request=request)


def double(run: runs.Run) -> upstreams.Upstream:
    """Returns the upstream double of a check that needs one."""
    assert run.upstream is not None
    return run.upstream


def authorization(binding: bindings.Binding, **arguments: Any) -> Attempt:
    """Returns an authorization; see `Binding.authorization` for the arguments."""
    return Attempt(
        name="an authorization",
        binding=binding,
        method_name="AuthorizePayment",
        request=binding.authorization(**arguments),
    )


def capture(
    binding: bindings.Binding,
    paid: operation_pb2.Operation,
    amount_minor: int | None = None,
    *,
    final: bool = True,
) -> Attempt:
    """Returns a capture of *paid*; of its whole amount by default."""
    request = binding.capturing(
        paid.provider_object_id,
        paid.amount.amount_minor if amount_minor is None else amount_minor,
        currency=paid.amount.currency_code,
        final=final,
    )
    return Attempt(name="a capture", binding=binding, method_name="CapturePayment", request=request)


def refund(
    binding: bindings.Binding, paid: operation_pb2.Operation, amount_minor: int | None = None
) -> Attempt:
    """Returns a refund of *paid*; of its whole amount by default."""
    request = binding.refunding(
        paid.provider_object_id,
        paid.amount.amount_minor if amount_minor is None else amount_minor,
        currency=paid.amount.currency_code,
    )
    return Attempt(name="a refund", binding=binding, method_name="RefundPayment", request=request)


def void(binding: bindings.Binding, held: operation_pb2.Operation) -> Attempt:
    """Returns a void of *held*."""
    request = binding.voiding(held.operation_id, payment_id=held.provider_object_id)
    return Attempt(name="a void", binding=binding, method_name="VoidPayment", request=request)


def customer(binding: bindings.Binding) -> Attempt:
    """Returns the making of a customer."""
    request = pps.CreateCustomerRequest(
        context=binding.context(),
        details=pps.CustomerDetails(
            customer_id=f"cus_{binding.run.token()}", name="Ada Example", email="ada@example.com"
        ),
    )
    return Attempt(
        name="the making of a customer",
        binding=binding,
        method_name="CreateCustomer",
        request=request,
    )


async def of_every_kind(binding: bindings.Binding) -> list[Attempt]:
    """Returns one operation of every kind the provider offers, its payment made beforehand."""
    run = binding.run
    found = [authorization(binding)]
    if run.has(capability_pb2.CAPABILITY_MANUAL_CAPTURE):
        found.append(capture(binding, await binding.authorize(sale=False)))
        if run.has(capability_pb2.CAPABILITY_VOID):
            found.append(void(binding, await binding.authorize(sale=False)))
    if run.has(capability_pb2.CAPABILITY_REFUND):
        found.append(refund(binding, await binding.pay()))
    if run.has(capability_pb2.CAPABILITY_CUSTOMERS):
        found.append(customer(binding))
    return found


async def at_once(attempt: Attempt, times: int) -> list[Any]:
    """Sends *attempt* so often concurrently; returns the answers of those that got one.

    Raises:
        Failed: None did, or one was refused otherwise than with OPERATION_IN_PROGRESS.
    """
    ended = await asyncio.gather(*(attempt.answer() for _ in range(times)), return_exceptions=True)
    answers = []
    for one in ended:
        if isinstance(one, refusal.Refused):
            if (one.reason, one.effect) != ("OPERATION_IN_PROGRESS", "UNKNOWN"):
                raise checks.Failed(
                    f"{attempt.name} sent {times} times at once: one was refused: {one.shown()}",
                    fix="let duplicates wait for the first, or answer OPERATION_IN_PROGRESS",
                ) from one
        elif isinstance(one, BaseException):
            raise one
        else:
            answers.append(one)
    if not answers:
        raise checks.Failed(
            f"{attempt.name} sent {times} times at once: none was carried out",
            fix="let one of the duplicates do the work",
        )
    return answers


async def outcome(attempt: Attempt) -> operation_pb2.Operation:
    """Returns what became of *attempt*, by a look-up if offered, else by sending it again.

    Raises:
        Failed: It stays unknown.
    """
    run = attempt.binding.run
    looks_up = run.has(capability_pb2.CAPABILITY_OPERATION_LOOKUP)
    found: list[operation_pb2.Operation] = []
    last: list[refusal.Refused] = []

    async def is_known() -> bool:
        try:
            if looks_up:
                found.append(await attempt.binding.find(attempt.operation_id))
            else:
                found.append(await attempt.again().send())
        except refusal.Refused as refused:
            if refused.reason not in ("OPERATION_IN_PROGRESS", "LOOKUP_INCONCLUSIVE"):
                raise checks.Failed(
                    f"{attempt.name}: what became of it can't be found out: {refused.shown()}",
                    fix="answer with the operation as it stands, however the first call ended",
                ) from refused
            last.append(refused)
            return False
        return True

    await run.until(
        is_known,
        what=f"what became of {attempt.name}",
        fix="let GetOperation find the operation once the upstream system answers again",
    )
    return found[-1]
