"""What happens around every RPC, in one interceptor.

Owns request ids, deadlines, authentication, validation, error translation, RED
metrics and the access log. Used once per server, as its last interceptor, since
it wraps a method's handler once and keeps it. Never logs a request's content
above the debug level and never lets an exception's text out.
"""

import asyncio
import contextlib
import contextvars
import inspect
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_status import rpc_status

from servicekit import errors, ids, logs, metrics, sanitizer

REQUEST_ID_HEADER = "x-request-id"

# These are asked by machinery that carries neither key nor deadline.
_EXEMPT = ("/grpc.health.v1.", "/grpc.reflection.")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_BUG_CODES = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
_TROUBLE_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_MALFORMED = object()

_log = logs.get_logger(__name__)

Metadata = Iterable[tuple[str, Any]]
Authenticate = Callable[[str, Metadata], Awaitable[Any]]
Translate = Callable[[Exception], errors.RpcError | None]


class Call:
    """The RPC being served.

    Attributes:
        method: protobuf full name, `package.Service.Method`.
        request_id: the caller's, or a new one.
        principal: what `authenticate` returned.
        deadline_s: seconds the call had left when it arrived; None: no deadline.
        metadata: what the caller sent, (name, value) pairs.
    """

    __slots__ = ("deadline_s", "metadata", "method", "principal", "request_id", "started_s")

    def __init__(self, method: str, request_id: str, metadata: Metadata) -> None:
        self.method = method
        self.request_id = request_id
        self.metadata = metadata
        self.principal: Any = None
        self.deadline_s: float | None = None
        self.started_s = time.perf_counter()

    def remaining_s(self) -> float | None:
        """Return the seconds left now (0 when over), or None without a deadline."""
        if self.deadline_s is None:
            return None
        return max(self.deadline_s - (time.perf_counter() - self.started_s), 0.0)


_current: contextvars.ContextVar[Call] = contextvars.ContextVar("call")
_metadata: contextvars.ContextVar[Metadata] = contextvars.ContextVar("metadata")


def current() -> Call:
    """Return the call being served; LookupError outside of one."""
    return _current.get()


class _Method:
    """What is decided once per method."""

    __slots__ = ("counters", "histogram", "max_deadline_s", "name", "needs_deadline", "streams")

    def __init__(self, name: str, needs_deadline: bool, max_deadline_s: float | None) -> None:
        self.name = name
        self.needs_deadline = needs_deadline
        self.max_deadline_s = max_deadline_s
        self.counters: dict[grpc.StatusCode, Any] = {}
        self.histogram: Any = None
        self.streams: Any = None


class Pipeline(grpc.aio.ServerInterceptor):
    """The one interceptor of a server.

    Args:
        service: name for logs.
        authenticate: given (`package.Service.Method`, metadata) returns the
            principal, or raises; it decides about methods open to everyone.
        validate: given a request message, raises when it breaks the contract.
        metrics: where RED metrics go.
        max_deadline: the longest seconds a method may take; a longer deadline
            is cut to it. None: as long as the caller wants.
        require_deadline: whether a unary method must come with a deadline
            (default: all must). Streams need none.
        translate: asked first about every exception, `errors.RpcError` too;
            None means "treat it as usual".
    """

    def __init__(
        self,
        *,
        service: str,
        authenticate: Authenticate | None = None,
        validate: Callable[[Message], None] | None = None,
        metrics: metrics.Metrics | None = None,
        max_deadline: Callable[[str], float | None] | None = None,
        require_deadline: Callable[[str], bool] | None = None,
        translate: Translate | None = None,
    ) -> None:
        self._service = service
        self._authenticate = authenticate
        self._validate = validate
        self._metrics = metrics
        self._max_deadline = max_deadline
        self._require_deadline = require_deadline
        self._translate = translate
        self._handlers: dict[str, Any] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return the method's wrapped handler; None when there is no such method."""
        path = handler_call_details.method
        wrapped = self._handlers.get(path)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            wrapped = handler if path.startswith(_EXEMPT) else self._wrap(path, handler)
            self._handlers[path] = wrapped
        _metadata.set(handler_call_details.invocation_metadata)
        return wrapped

    def _wrap(self, path: str, handler: Any) -> Any:
        name = path.lstrip("/").replace("/", ".")
        streaming = handler.response_streaming or handler.request_streaming
        needed = not streaming and (self._require_deadline is None or self._require_deadline(name))
        longest_s = self._max_deadline(name) if self._max_deadline is not None else None
        method = _Method(name, needed, longest_s)
        if self._metrics is not None:
            method.histogram = self._metrics.rpc_seconds.labels(name)
            method.streams = self._metrics.rpc_streams.labels(name) if streaming else None
        decode = _safe(handler.request_deserializer)
        if not streaming:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(method, handler.unary_unary, handler.response_serializer),
                request_deserializer=decode,
            )
        if handler.request_streaming and not handler.response_streaming:
            return grpc.stream_unary_rpc_method_handler(
                self._unary(method, handler.stream_unary, handler.response_serializer),
                request_deserializer=decode,
            )
        behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
        make: Any = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )
        return make(
            self._stream(method, behavior),
            request_deserializer=decode,
            response_serializer=handler.response_serializer,
        )

    def _unary(self, method: _Method, behavior: Any, serialize: Any) -> Any:
        async def serve(request: Any, context: Any) -> Any:
            call = self._begin(method)
            try:
                request = await self._admit(method, call, request, context)
                if method.max_deadline_s is None or _within(call, method.max_deadline_s):
                    response = await behavior(request, context)
                else:
                    response = await _limited(behavior(request, context), call, method)
                raw = response if serialize is None else serialize(response)
            except BaseException as failure:
                await self._fail(method, call, request, context, failure)
            context.set_trailing_metadata(
                (*context.trailing_metadata(), (REQUEST_ID_HEADER, call.request_id))
            )
            self._end(method, call, context.code() or grpc.StatusCode.OK)
            return raw

        return serve

    def _stream(self, method: _Method, behavior: Any) -> Any:
        generates = inspect.isasyncgenfunction(behavior)

        async def serve(request: Any, context: Any) -> None:
            call = self._begin(method)
            if method.streams is not None:
                method.streams.inc()
            try:
                request = await self._admit(method, call, request, context)
                await context.send_initial_metadata(((REQUEST_ID_HEADER, call.request_id),))
                if generates:
                    async with contextlib.aclosing(behavior(request, context)) as responses:
                        async for response in responses:
                            await context.write(response)
                else:
                    await behavior(request, context)
            except BaseException as failure:
                await self._fail(method, call, request, context, failure)
            finally:
                if method.streams is not None:
                    method.streams.dec()
            self._end(method, call, context.code() or grpc.StatusCode.OK)

        return serve

    def _begin(self, method: _Method) -> Call:
        metadata = _metadata.get()
        request_id = ""
        for name, value in metadata:
            if name == REQUEST_ID_HEADER and _REQUEST_ID.fullmatch(value):
                request_id = value
                break
        call = Call(method.name, request_id or ids.new_id("req"), metadata)
        _current.set(call)
        logs.replace_bound({"request_id": call.request_id})
        return call

    async def _admit(self, method: _Method, call: Call, request: Any, context: Any) -> Any:
        call.deadline_s = context.time_remaining()
        if call.deadline_s is None and method.needs_deadline:
            raise errors.deadline_required()
        if self._authenticate is not None:
            call.principal = await self._authenticate(method.name, call.metadata)
        if not isinstance(request, Message) and request is not _MALFORMED:
            return self._checked(request) if hasattr(request, "__aiter__") else request
        self._check(request)
        return request

    def _check(self, request: Any) -> None:
        if request is _MALFORMED:
            raise errors.invalid_field("", "the request is not a message of the expected type")
        if self._validate is not None:
            self._validate(request)

    async def _checked(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            self._check(request)
            yield request

    async def _fail(
        self, method: _Method, call: Call, request: Any, context: Any, failure: BaseException
    ) -> NoReturn:
        if isinstance(failure, grpc.aio.AbortError):
            self._end(method, call, context.code() or grpc.StatusCode.UNKNOWN)
            raise failure
        if not isinstance(failure, Exception) or _is_transport(failure):
            over = call.remaining_s() == 0.0
            code = grpc.StatusCode.DEADLINE_EXCEEDED if over else grpc.StatusCode.CANCELLED
            self._end(method, call, code)
            raise failure
        error = self._translate(failure) if self._translate is not None else None
        if error is None:
            is_ours = isinstance(failure, errors.RpcError)
            error = failure if is_ours else errors.internal(call.request_id)  # type: ignore[assignment]
        assert error is not None
        if error is not failure and error.code in _BUG_CODES:
            hidden: list[str] = []
            if isinstance(request, Message):
                hidden = sanitizer.sensitive_values(request, logs.sensitive_option())
            _log.error("unexpected exception", method=call.method, exc_info=failure, hidden=hidden)
        error.metadata.setdefault("request_id", call.request_id)
        self._end(method, call, error.code, error.reason)
        status = rpc_status.to_status(errors.to_status(error))
        await context.abort(
            status.code,
            status.details,
            (*status.trailing_metadata, (REQUEST_ID_HEADER, call.request_id)),
        )
        raise AssertionError("abort returned") from failure

    def _end(
        self, method: _Method, call: Call, code: grpc.StatusCode, reason: str | None = None
    ) -> None:
        seconds = time.perf_counter() - call.started_s
        if self._metrics is not None:
            counter = method.counters.get(code)
            if counter is None:
                counter = self._metrics.rpc_requests.labels(method.name, code.name)
                method.counters[code] = counter
            counter.inc()
            if method.streams is None:
                method.histogram.observe(seconds)
        if code in _BUG_CODES:
            write = _log.error
        elif code in _TROUBLE_CODES:
            write = _log.warning
        else:
            write = _log.info
        values: dict[str, Any] = {"method": call.method, "code": code.name}
        if reason is not None:
            values["reason"] = reason
        tenant_id = getattr(call.principal, "tenant_id", None)
        if tenant_id is not None:
            values["tenant_id"] = tenant_id
        write("rpc", duration_ms=round(seconds * 1_000, 2), **values)


def _within(call: Call, max_deadline_s: float) -> bool:
    return call.deadline_s is not None and call.deadline_s <= max_deadline_s


async def _limited(work: Any, call: Call, method: _Method) -> Any:
    call.deadline_s = method.max_deadline_s
    limit = asyncio.timeout(method.max_deadline_s)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise errors.deadline_exceeded() from None
        raise


def _is_transport(failure: Exception) -> bool:
    """Tell gRPC's own "the caller is gone" and "the server stopped" from our bugs."""
    return isinstance(failure, grpc.aio.BaseError) and not isinstance(failure, grpc.aio.UsageError)


def _safe(deserialize: Any) -> Any:
    if deserialize is None:
        return None

    def decode(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except Exception:
            return _MALFORMED

    return decode
