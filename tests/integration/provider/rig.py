"""A simulated provider as a process, and core's side of the wire.

Owns starting, killing and asking it. Called by the tests of this folder.
"""

import contextlib
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from payhub.plugin.v1 import plugin_service_pb2, plugin_service_pb2_grpc
from payhub.provider.v1 import failure_pb2, operation_pb2, payment_provider_service_pb2_grpc
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.type.v1 import money_pb2

from provider_mock import oracle
from tests import polling, starting
from tests.integration.provider import patience

ROOT = pathlib.Path(__file__).resolve().parents[3]
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
_READY = re.compile(r"ready grpc=(\S+) http=(\S+)")

ps = plugin_service_pb2
Operation = operation_pb2.Operation
until = polling.until


class Sidecar:
    """`python -m <module>` on free ports.

    Args:
        module: The provider.
        folder: Where its log goes.
        env: Its variables beside the ports.
    """

    def __init__(self, module: str, folder: pathlib.Path, env: Mapping[str, str]) -> None:
        self.log = folder / f"log-{uuid.uuid4().hex[:8]}.txt"
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PROVIDER_", "PAYHUB_"))
        }
        prefix = module.upper()
        with self.log.open("w") as log:
            self.process = starting.popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env={
                    **inherited,
                    f"{prefix}_GRPC_PORT": "0",
                    f"{prefix}_HTTP_PORT": "0",
                    **env,
                },
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        lines: queue.Queue[str] = queue.Queue()
        assert self.process.stdout is not None
        stdout = self.process.stdout
        threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
        match = None
        with contextlib.suppress(queue.Empty):
            match = _READY.search(lines.get(timeout=START_TIMEOUT_S))
        if match is None:
            self.kill()
            raise AssertionError(f"not ready: {self.log.read_text()}")
        self.target, self.http = match.groups()

    def kill(self) -> None:
        """Kills it like a power cut."""
        self.process.kill()
        self.wait()

    def stop(self) -> int:
        """Asks it to stop and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Waits for its end and returns the exit status."""
        status: int = self.process.wait(STOP_TIMEOUT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


class MockProcess(Sidecar):
    """`python -m provider_mock`.

    Args:
        folder: Where ledger and log go; the same folder is the same bank.
        env: Further variables.
        module: What runs it in another way.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        env: Mapping[str, str] | None = None,
        module: str = "provider_mock",
    ) -> None:
        self.ledger = folder / "ledger.db"
        ports = {"PROVIDER_MOCK_GRPC_PORT": "0", "PROVIDER_MOCK_HTTP_PORT": "0"}
        super().__init__(
            module, folder, {**ports, "PROVIDER_MOCK_LEDGER": str(self.ledger), **(env or {})}
        )

    def books(self) -> dict[str, Any]:
        """Returns what the ledger holds, operations included, after checking that it adds up."""
        report = oracle.read(self.ledger, operations=True)
        assert report["differences"] == []
        return report

    def effects(self, operation_id: str) -> list[dict[str, Any]]:
        """Returns what the ledger holds of one operation."""
        listed: list[dict[str, Any]] = self.books()["operations"]
        return [row for row in listed if row["operation_id"] == operation_id]


class Refused(Exception):
    """A status other than OK with what it carries.

    Args:
        error: What gRPC raised.
    """

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code = error.code()
        self.text = f"{error.details()} {error.trailing_metadata()}"
        self.infos: list[error_details_pb2.ErrorInfo] = []
        self.failures: list[failure_pb2.Failure] = []
        self.retry_after_s: float | None = None
        self.fields: list[str] = []
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
        for detail in status.details if status else ():
            self._take(detail)

    def _take(self, detail: Any) -> None:
        info, failure = error_details_pb2.ErrorInfo(), failure_pb2.Failure()
        retry, bad = error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            self.infos.append(info)
        elif detail.Unpack(failure):
            self.failures.append(failure)
        elif detail.Unpack(retry):
            self.retry_after_s = retry.retry_delay.ToMicroseconds() / 1e6
        elif detail.Unpack(bad):
            self.fields += [violation.field for violation in bad.field_violations]

    @property
    def reason(self) -> str:
        """The one reason; fails unless there is exactly one ErrorInfo and one Failure."""
        assert len(self.infos) == 1
        assert len(self.failures) == 1
        name = failure_pb2.FailureReason.Name(self.failures[0].reason)
        assert name == f"FAILURE_REASON_{self.infos[0].reason}"
        return str(self.infos[0].reason)

    @property
    def effect(self) -> str:
        """NONE or UNKNOWN; without a Failure it is UNKNOWN."""
        if not self.failures:
            return "UNKNOWN"
        name = failure_pb2.Failure.Effect.Name(self.failures[0].effect)
        return name.removeprefix("EFFECT_")


def new_operation_id() -> str:
    """Returns a fresh operation id."""
    return f"op_{uuid.uuid4().hex}"


def money(amount_minor: int, currency: str = "EUR") -> money_pb2.Money:
    """Returns an amount."""
    return money_pb2.Money(amount_minor=amount_minor, currency_code=currency)


class Core:
    """Core's side of one connection, configured for one binding.

    Args:
        target: `host:port` of a provider.
    """

    def __init__(self, target: str) -> None:
        self.channel = grpc.aio.insecure_channel(target, options=[("grpc.enable_retries", 0)])
        self.plugin: Any = plugin_service_pb2_grpc.PluginServiceStub(self.channel)
        self.stub: Any = payment_provider_service_pb2_grpc.PaymentProviderServiceStub(self.channel)
        self.binding_id = str(uuid.uuid4())

    async def connect(
        self, *, config: str = "{}", customer_action: bool = True, generation: int = 1
    ) -> None:
        """Shakes hands and configures the binding."""
        offered = [ps.CORE_CAPABILITY_CUSTOMER_ACTION] if customer_action else []
        await self.plugin.Handshake(
            ps.HandshakeRequest(core_capabilities=offered), timeout=10, wait_for_ready=True
        )
        await self.configure(config, generation=generation)

    async def configure(self, config: str, *, generation: int = 1, **binding: Any) -> Any:
        """Sends Configure."""
        return await self.call(
            self.plugin.Configure,
            ps.ConfigureRequest(
                binding_id=binding.pop("binding_id", self.binding_id),
                generation=generation,
                config=ps.BindingConfig(config_json=config, **binding),
            ),
        )

    async def close(self) -> None:
        """Closes the connection."""
        await self.channel.close()

    async def call(self, method: Any, request: Any, *, timeout_s: float | None = 5.0) -> Any:
        """Calls *method*; raises Refused for a status other than OK."""
        try:
            return await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from error

    async def succeeded(self, operation_id: str) -> None:
        """Waits until a look-up finds it carried out, over a new connection if need be."""

        async def is_found() -> bool:
            try:
                return (await self.find(operation_id)).state == Operation.STATE_SUCCEEDED
            except Refused as refused:
                if refused.infos and refused.reason != "OPERATION_IN_PROGRESS":
                    raise
                return False

        await until(is_found)

    async def running(self, operation_id: str) -> None:
        """Waits until the provider works on an operation; Missed if it has ended already."""

        async def is_running() -> bool:
            try:
                await self.find(operation_id)
            except Refused as refused:
                return refused.reason == "OPERATION_IN_PROGRESS"
            raise patience.Missed(operation_id)

        await until(is_running)

    def context(
        self, operation_id: str | None = None, *, not_after_s: float = 10.0, attempt: int = 1
    ) -> operation_pb2.OperationContext:
        """Returns the context of an attempt."""
        context = operation_pb2.OperationContext(
            binding_id=self.binding_id,
            operation_id=operation_id or new_operation_id(),
            attempt=attempt,
            config_generation=1,
        )
        context.not_after.FromMicroseconds(round((time.time() + not_after_s) * 1e6))
        return context

    def authorization(
        self,
        token: str = "tok_approve",
        *,
        amount_minor: int = 1000,
        currency: str = "EUR",
        sale: bool = False,
        **context: Any,
    ) -> pps.AuthorizePaymentRequest:
        """Returns a request to authorize."""
        return pps.AuthorizePaymentRequest(
            context=self.context(**context),
            amount=money(amount_minor, currency),
            payment_method=token,
            capture_method=pps.CAPTURE_METHOD_AUTOMATIC if sale else pps.CAPTURE_METHOD_MANUAL,
            payment_id="pay_of_core",
        )

    async def authorize(
        self, token: str = "tok_approve", *, timeout_s: float = 5.0, **rest: Any
    ) -> Operation:
        """Authorizes and returns the operation."""
        request = self.authorization(token, **rest)
        answer = await self.call(self.stub.AuthorizePayment, request, timeout_s=timeout_s)
        operation: Operation = answer.operation
        return operation

    async def capture(
        self, paid: Operation, amount_minor: int, *, final: bool = True, **rest: Any
    ) -> Operation:
        """Captures."""
        currency, timeout_s = rest.pop("currency", "EUR"), rest.pop("timeout_s", 5.0)
        request = pps.CapturePaymentRequest(
            context=self.context(**rest),
            provider_payment_id=paid.provider_object_id,
            amount=money(amount_minor, currency),
            final=final,
        )
        answer = await self.call(self.stub.CapturePayment, request, timeout_s=timeout_s)
        operation: Operation = answer.operation
        return operation

    async def refund(self, paid: Operation, amount_minor: int, **rest: Any) -> Operation:
        """Refunds."""
        timeout_s = rest.pop("timeout_s", 5.0)
        request = pps.RefundPaymentRequest(
            context=self.context(**rest),
            provider_payment_id=paid.provider_object_id,
            amount=money(amount_minor),
        )
        answer = await self.call(self.stub.RefundPayment, request, timeout_s=timeout_s)
        operation: Operation = answer.operation
        return operation

    async def void(
        self, target_id: str, *, provider_payment_id: str = "", **rest: Any
    ) -> Operation:
        """Voids by operation id, and by payment if given."""
        timeout_s = rest.pop("timeout_s", 5.0)
        request = pps.VoidPaymentRequest(
            context=self.context(**rest),
            provider_payment_id=provider_payment_id,
            target_operation_id=target_id,
        )
        answer = await self.call(self.stub.VoidPayment, request, timeout_s=timeout_s)
        operation: Operation = answer.operation
        return operation

    async def create_customer(
        self, *, name: str = "", email: str = "", **context: Any
    ) -> Operation:
        """Makes a customer."""
        request = pps.CreateCustomerRequest(
            context=self.context(**context), details=pps.CustomerDetails(name=name, email=email)
        )
        operation: Operation = (await self.call(self.stub.CreateCustomer, request)).operation
        return operation

    async def update_customer(
        self, customer_id: str, *, name: str = "", email: str = ""
    ) -> Operation:
        """Replaces a customer's details."""
        request = pps.UpdateCustomerRequest(
            context=self.context(),
            provider_customer_id=customer_id,
            details=pps.CustomerDetails(name=name, email=email),
        )
        operation: Operation = (await self.call(self.stub.UpdateCustomer, request)).operation
        return operation

    async def find(self, operation_id: str, *, timeout_s: float = 5.0) -> Operation:
        """Looks an operation up."""
        request = pps.GetOperationRequest(binding_id=self.binding_id, operation_id=operation_id)
        answer = await self.call(self.stub.GetOperation, request, timeout_s=timeout_s)
        operation: Operation = answer.operation
        return operation
