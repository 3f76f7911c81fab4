"""What a caller sees of every RPC, over real sockets."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from payhub.payments.v1 import (
    payment_service_pb2,
    payment_service_pb2_grpc,
    retry_policy_service_pb2,
    retry_policy_service_pb2_grpc,
)

from servicekit import (
    auth,
    errors,
    rpc,
    server,
    validation,
)
from tests import polling
from tests.integration.servicekit import calling, echo

CANARY = "canary-91bd"
CODE = grpc.StatusCode

Text = echo.Text


async def test_a_unary_call_needs_a_deadline(serving: calling.Serving) -> None:
    """Without one: INVALID_ARGUMENT before anything happens; a stream needs none."""
    async with serving() as rig:
        error, info, _ = await calling.refusal(rig.unary("Say")(Text(value="x")))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert info.reason == "DEADLINE_REQUIRED"
        assert rig.echo.calls == []
        assert [text.value async for text in rig.stream("Count")(Text(value="2"))] == ["0", "1"]
    async with serving(require_deadline=lambda method: method != "test.Echo.Say") as rig:
        await rig.unary("Say")(Text(value="x"))
        assert rig.echo.calls[0].deadline_s is None


async def test_every_wrong_field_is_named(serving: calling.Serving) -> None:
    """INVALID_ARGUMENT with a BadRequest of dotted paths."""
    servicer = payment_service_pb2_grpc.PaymentServiceServicer()

    def register(target: grpc.aio.Server) -> None:
        payment_service_pb2_grpc.add_PaymentServiceServicer_to_server(servicer, target)

    async with serving(register, validate=validation.validate) as rig:
        stub: Any = payment_service_pb2_grpc.PaymentServiceStub(rig.channel)
        request = payment_service_pb2.CreatePaymentRequest()
        request.amount.currency_code = "eur"
        error, info, paths = await calling.refusal(stub.CreatePayment(request, timeout=5))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert info.reason == "INVALID_FIELD"
    assert {"idempotency_key", "amount.currency_code"} <= set(paths)


async def test_of_a_large_message_the_first_wrong_field_is_named(serving: calling.Serving) -> None:
    """A million wrong items are refused at once, and nobody waits meanwhile."""
    servicer = retry_policy_service_pb2_grpc.RetryPolicyServiceServicer()

    def register(target: grpc.aio.Server) -> None:
        retry_policy_service_pb2_grpc.add_RetryPolicyServiceServicer_to_server(servicer, target)

    many = b"\x0a\x00" * 500_000
    policy = b"\x0a" + _varint(len(many)) + many
    async with serving(register, validate=validation.validate) as rig, asyncio.timeout(10):
        call: Any = rig.channel
        method = f"/{_RETRIES.full_name}/SetRetryPolicy"
        error, info, paths = await calling.refusal(call.unary_unary(method)(policy, timeout=9))
    assert (error.code(), info.reason) == (CODE.INVALID_ARGUMENT, "INVALID_FIELD")
    assert paths == ["policy.delays"]


_RETRIES = retry_policy_service_pb2.DESCRIPTOR.services_by_name["RetryPolicyService"]


def _varint(number: int) -> bytes:
    last = number < 0x80
    return bytes([number]) if last else bytes([number & 0x7F | 0x80]) + _varint(number >> 7)


async def test_nothing_is_read_of_whom_nobody_knows(serving: calling.Serving) -> None:
    """Who calls is asked before time is spent on the message."""
    read: list[bytes] = []

    async def authenticate(method: str, metadata: rpc.Metadata) -> None:
        if dict(metadata).get("who") != "me":
            raise errors.key_invalid("who?")

    def decode(raw: bytes) -> Text:
        read.append(raw)
        return Text.FromString(raw)

    async def answer(request: Text, context: Any) -> Text:
        return request

    def register(target: grpc.aio.Server) -> None:
        handler = grpc.unary_unary_rpc_method_handler(answer, decode, Text.SerializeToString)
        target.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Spy", {"Say": handler}),)
        )

    async with serving(register, authenticate=authenticate) as rig:
        channel: Any = rig.channel
        call = channel.unary_unary("/test.Spy/Say")
        error, _, _ = await calling.refusal(call(b"", timeout=5))
        assert error.code() is CODE.UNAUTHENTICATED
        assert read == []
        await call(b"", timeout=5, metadata=(("who", "me"),))
        assert read == [b""]


class _Asked:
    """What a caller wants, weakly referable."""


async def test_what_was_refused_is_not_kept(serving: calling.Serving) -> None:
    """A request is freed with its call, not by a later collection: few of 4 MiB fill the memory."""
    kept: list[weakref.ref[_Asked]] = []

    def decode(raw: bytes) -> _Asked:
        asked = _Asked()
        kept.append(weakref.ref(asked))
        return asked

    async def refuse(asked: _Asked, context: Any) -> Text:
        try:
            raise KeyError(asked)
        except KeyError:
            raise errors.not_found("echo", "x") from None

    async def crash(asked: _Asked, context: Any) -> Text:
        raise ZeroDivisionError(asked)

    async def stream(asked: _Asked, context: Any) -> AsyncIterator[Text]:
        yield Text()
        raise errors.not_found("echo", "x")

    def register(target: grpc.aio.Server) -> None:
        serialize = Text.SerializeToString
        handlers = {
            "Refuse": grpc.unary_unary_rpc_method_handler(refuse, decode, serialize),
            "Crash": grpc.unary_unary_rpc_method_handler(crash, decode, serialize),
            "Stream": grpc.unary_stream_rpc_method_handler(stream, decode, serialize),
        }
        target.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Keeper", handlers),)
        )

    async with serving(register) as rig:
        channel: Any = rig.channel
        gc.disable()
        try:
            for name in ("Refuse", "Crash", "Stream"):
                make = channel.unary_stream if name == "Stream" else channel.unary_unary
                call = make(f"/test.Keeper/{name}")(b"", timeout=5)
                await (_drained(call) if name == "Stream" else calling.refusal(call))
                await polling.until(lambda: kept[-1]() is None)
        finally:
            gc.enable()
    assert len(kept) == 3


async def _drained(call: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        async for _ in call:
            pass


async def test_bytes_that_are_no_message_are_the_callers_fault(serving: calling.Serving) -> None:
    """Neither UNKNOWN nor a parser's text."""
    async with serving() as rig:
        channel: Any = rig.channel
        for call in (
            channel.unary_unary(f"/{echo.NAME}/Say")(b"\xff\xff", timeout=5),
            channel.unary_stream(f"/{echo.NAME}/Count")(b"\xff\xff", timeout=5).read(),
            channel.stream_unary(f"/{echo.NAME}/Join")(iter([b"\xff"]), timeout=5),
        ):
            error, info, _ = await calling.refusal(call)
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert info.reason == "INVALID_FIELD"


async def test_a_refusal_arrives_as_it_was_meant(serving: calling.Serving) -> None:
    """Code, reason, facts, and the caller's request id in both places."""
    async with serving() as rig:
        call = rig.unary("Refuse")(
            Text(value="e_1"), timeout=5, metadata=(("x-request-id", "req_given-1"),)
        )
        error, info, _ = await calling.refusal(call)
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert info.reason == "RESOURCE_NOT_FOUND"
        assert info.domain == "payhub"
        assert dict(info.metadata) == {
            "resource": "echo",
            "resource_id": "e_1",
            "retry": "never",
            "request_id": "req_given-1",
        }
        assert dict(error.trailing_metadata())["x-request-id"] == "req_given-1"
        assert rig.count("Refuse", "NOT_FOUND") == 1


async def test_a_request_id_is_made_when_none_or_a_bad_one_came(serving: calling.Serving) -> None:
    """What is echoed and logged is short and plain; keys are no request ids."""
    _, key = auth.new_key()
    async with serving() as rig:
        for bad in (None, "", "x" * 65, "with space", key, "sk_live_1"):
            metadata = () if bad is None else (("x-request-id", bad),)
            call = rig.unary("Say")(Text(), timeout=5, metadata=metadata)
            await call
            made = dict(await call.trailing_metadata())["x-request-id"]
            assert made.startswith("req_")
            assert rig.echo.calls[-1].request_id == made


async def test_the_principal_decides_and_is_at_hand(serving: calling.Serving) -> None:
    """authenticate sees method and metadata; its result is the call's principal."""
    known = auth.Principal(tenant_id="default", scopes=frozenset(), key_id="k")

    async def authenticate(method: str, metadata: rpc.Metadata) -> auth.Principal:
        assert method.startswith("test.Echo.")
        if dict(metadata).get("who") != "me":
            raise errors.key_invalid("who?")
        return known

    async with serving(authenticate=authenticate) as rig:
        await rig.unary("Say")(Text(), timeout=5, metadata=(("who", "me"),))
        assert rig.echo.calls[0].principal is known
        # gRPC rounds a timeout up on its way.
        assert 0 < (rig.echo.calls[0].deadline_s or 0) < 5.1
        for call in (
            rig.unary("Say")(Text(), timeout=5),
            rig.stream("Count")(Text(value="1")).read(),
        ):
            error, info, _ = await calling.refusal(call)
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert info.reason == "KEY_INVALID"
        with pytest.raises(LookupError):
            rpc.current()


async def test_a_deadline_is_cut_to_the_longest_allowed(serving: calling.Serving) -> None:
    """A caller that would wait for a minute gets its answer after the method's limit."""
    limits = {"test.Echo.Wait": 0.05}
    async with serving(max_deadline=limits.get) as rig:
        error, info, _ = await calling.refusal(rig.unary("Wait")(Text(value="60"), timeout=60))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert info.reason == "DEADLINE_EXCEEDED"
        assert rig.echo.canceled == ["wait"]
        assert (await rig.unary("Say")(Text(value="x"), timeout=60)).value == "x"
        assert rig.echo.calls[0].remaining_s() is not None


async def test_a_translator_speaks_first(serving: calling.Serving) -> None:
    """It can give any exception another error, the pipeline's own included."""

    def translate(failure: Exception) -> errors.RpcError | None:
        if isinstance(failure, ZeroDivisionError):
            return errors.RpcError(grpc.StatusCode.ABORTED, "DIVIDED", "by zero", domain="other")
        if isinstance(failure, errors.RpcError) and failure.reason == "DEADLINE_REQUIRED":
            return errors.RpcError(grpc.StatusCode.ABORTED, "TRANSLATED", "no deadline")
        return None

    async with serving(translate=translate) as rig:
        error, info, _ = await calling.refusal(rig.unary("Crash")(Text(), timeout=5))
        assert (error.details(), info.reason, info.domain) == ("by zero", "DIVIDED", "other")
        _, info, _ = await calling.refusal(rig.unary("Say")(Text()))
        assert info.reason == "TRANSLATED"
        _, info, _ = await calling.refusal(rig.unary("Refuse")(Text(), timeout=5))
        assert info.reason == "RESOURCE_NOT_FOUND"


async def test_other_ways_to_end_a_call_are_kept(serving: calling.Serving) -> None:
    """abort and set_code work as gRPC says, and are counted with their code."""
    async with serving() as rig:
        error, _, _ = await calling.refusal(rig.unary("Abort")(Text(), timeout=5))
        assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "by hand")
        error, _, _ = await calling.refusal(rig.unary("Code")(Text(), timeout=5))
        assert error.code() is grpc.StatusCode.OUT_OF_RANGE
        error, _, _ = await calling.refusal(rig.unary("Nothing")(Text(), timeout=5))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert rig.count("Abort", "DATA_LOSS") == rig.count("Code", "OUT_OF_RANGE") == 1


async def test_an_answer_that_is_no_message_is_a_bug_like_any_other(
    serving: calling.Serving,
) -> None:
    """INTERNAL without the value's text."""
    async with serving() as rig:
        error, info, _ = await calling.refusal(rig.unary("Nonsense")(Text(), timeout=5))
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert info.reason == "INTERNAL"


async def test_a_caller_that_leaves_cancels_the_handler(serving: calling.Serving) -> None:
    """The handler sees the cancellation and the call counts as CANCELLED."""
    async with serving() as rig:
        call = rig.unary("Wait")(Text(value="60"), timeout=60)
        task = asyncio.ensure_future(call.wait_for_connection())
        await calling.until(lambda: rig.echo.waiting == 1)
        call.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await calling.until(lambda: rig.count("Wait", "CANCELLED") == 1)
        assert rig.echo.canceled == ["wait"]
        # A call whose time is over before it arrives is none of ours.
        while rig.echo.waiting == 1:
            error, _, _ = await calling.refusal(rig.unary("Wait")(Text(value="60"), timeout=0.05))
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        codes = rig.registry.rpc.of("test.Echo.Wait").codes
        await calling.until(lambda: sum(codes.values()) >= 2)
        assert set(codes) <= {"CANCELLED", "DEADLINE_EXCEEDED"}


async def test_a_stream_ends_with_its_error(serving: calling.Serving) -> None:
    """Messages before it arrive; then the same statuses as for a unary call."""
    async with serving() as rig:
        for ending, code, reason in (
            ("crash", grpc.StatusCode.INTERNAL, "INTERNAL"),
            ("refuse", grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE"),
        ):
            call = rig.stream("Count")(Text(value=f"2 {ending}"), timeout=5)
            assert [(await call.read()).value for _ in range(2)] == ["0", "1"]
            error, info, _ = await calling.refusal(call.read())
            assert (error.code(), info.reason) == (code, reason)
            assert "sk_live" not in repr(error)
            assert dict(await call.initial_metadata())["x-request-id"]
        assert [text.value async for text in rig.stream("Write")(Text(value="2"))] == [
            "written"
        ] * 2


async def test_a_canceled_stream_is_closed_in_its_own_call(serving: calling.Serving) -> None:
    """The generator gets the cancellation and ends; nothing stays open."""
    async with serving() as rig:
        call = rig.stream("Count")(Text(value="1 wait"))
        await call.read()
        await calling.until(lambda: rig.echo.waiting == 1)
        assert rig.registry.rpc.of("test.Echo.Count").streams == 1
        call.cancel()
        await calling.until(lambda: rig.echo.canceled == ["count"])
        await calling.until(lambda: rig.registry.rpc.of("test.Echo.Count").streams == 0)
        assert rig.echo.calls[-1].method == "test.Echo.Count"
        assert rig.count("Count", "CANCELLED") == 1


async def test_streamed_requests_are_checked_one_by_one(serving: calling.Serving) -> None:
    """A wrong message ends the call when it arrives; those before it were served."""

    def validate(message: Any) -> None:
        if message.value == "bad":
            raise errors.invalid_field("value", "must not be bad")

    async with serving(validate=validate) as rig:
        codec = (Text.SerializeToString, Text.FromString)
        join: Any = rig.channel.stream_unary(f"/{echo.NAME}/Join", *codec)
        chat: Any = rig.channel.stream_stream(f"/{echo.NAME}/Chat", *codec)
        answer = await join(iter([Text(value="a"), Text(value="b")]), timeout=5)
        assert answer.value == "ab"
        talk = chat(timeout=5)
        await talk.write(Text(value="good"))
        assert (await talk.read()).value == "good"
        await talk.write(Text(value="bad"))
        _, info, paths = await calling.refusal(talk.read())
        assert (info.reason, paths) == ("INVALID_FIELD", ["value"])


async def test_a_message_over_the_limit_is_refused_by_the_transport(
    serving: calling.Serving,
) -> None:
    """4 MiB and no more, before anything is parsed."""
    async with serving() as rig:
        large = Text(value="x" * (server.MESSAGE_BYTES_MAX + 1))
        error, _, _ = await calling.refusal(rig.unary("Say")(large, timeout=5))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert rig.echo.calls == []
