"""What the log tells of a call, and never tells, over real sockets."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from payhub.options.v1 import options_pb2
from payhub.payments.v1 import payment_service_pb2, payment_service_pb2_grpc

from servicekit import errors, logs
from tests.integration.servicekit import calling, echo

CANARY = "canary-91bd"

Text = echo.Text


@pytest.fixture
def output() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Give the log lines written so far."""
    stream = io.StringIO()
    before = {name: getattr(logs._State, name) for name in vars(logs._State) if name[0] != "_"}
    logs.flush()
    logs._sink.stream = stream
    logs._State.threshold, logs._State.sensitive = 20, options_pb2.sensitive

    def lines() -> list[dict[str, Any]]:
        logs.flush()
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield lines
    logs.flush()
    logs._sink.stream = None
    for name, value in before.items():
        setattr(logs._State, name, value)


async def test_an_unknown_exception_tells_the_caller_nothing(
    serving: calling.Serving, output: Callable[[], list[dict[str, Any]]]
) -> None:
    """INTERNAL with a request id; the log has the traceback under that id, without secrets."""
    async with serving() as rig:
        error, info, _ = await calling.refusal(rig.unary("Crash")(Text(value=CANARY), timeout=5))
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    seen = repr(error) + repr(error.trailing_metadata())
    assert "sk_live" not in seen
    assert CANARY not in seen
    assert info.reason == "INTERNAL"
    (line,) = [line for line in output() if line["event"] == "unexpected exception"]
    assert line["request_id"] == info.metadata["request_id"]
    assert "ZeroDivisionError" in line["exception"]
    assert "sk_live_123" not in line["exception"]


async def test_a_requests_own_secrets_stay_out_of_the_traceback(
    serving: calling.Serving, output: Callable[[], list[dict[str, Any]]]
) -> None:
    """An exception that quotes a payment method is logged without it; nothing else either."""

    class Payments(payment_service_pb2_grpc.PaymentServiceServicer):
        async def CreatePayment(self, request: Any, context: Any) -> Any:
            raise ValueError(f"can't parse {request.payment_method}")

    def register(target: grpc.aio.Server) -> None:
        payment_service_pb2_grpc.add_PaymentServiceServicer_to_server(Payments(), target)

    logs._State.threshold = 10
    async with serving(register) as rig:
        stub: Any = payment_service_pb2_grpc.PaymentServiceStub(rig.channel)
        request = payment_service_pb2.CreatePaymentRequest(payment_method=CANARY, provider="mock")
        await calling.refusal(stub.CreatePayment(request, timeout=5))
    lines = output()
    assert "can't parse ***" in json.dumps(lines)
    assert CANARY not in json.dumps(lines)
    (shown,) = [line["request"] for line in lines if line["event"] == "rpc request"]
    assert shown == {"payment_method": "***", "provider": "mock"}


async def test_content_is_not_logged_at_info(
    serving: calling.Serving, output: Callable[[], list[dict[str, Any]]]
) -> None:
    """One line per call: method, code, duration and ids."""
    async with serving() as rig:
        await rig.unary("Say")(
            Text(value=CANARY), timeout=5, metadata=(("x-request-id", "given-1"),)
        )
    (line,) = output()
    assert line.pop("duration_ms") >= 0
    del line["ts"]
    assert line == {
        "level": "info",
        "event": "rpc",
        "service": logs._State.service,
        "request_id": "given-1",
        "logger": "servicekit.rpc",
        "method": "test.Echo.Say",
        "code": "OK",
    }


async def test_the_log_says_why_a_call_can_not_be_served(
    serving: calling.Serving, output: Callable[[], list[dict[str, Any]]]
) -> None:
    """Callers learn that they may repeat it, operators what the translator was given."""

    def translate(failure: Exception) -> errors.RpcError | None:
        return errors.unavailable("repeat it") if isinstance(failure, ZeroDivisionError) else None

    async with serving(translate=translate) as rig:
        error, info, _ = await calling.refusal(rig.unary("Crash")(Text(value=CANARY), timeout=5))
    assert error.details() == "repeat it"
    (line,) = [line for line in output() if "problem" in line]
    assert line["request_id"] == info.metadata["request_id"]
    assert line["level"] == "warning"
    assert "***" in line["problem"]
    assert "sk_live" not in json.dumps(line)
