"""What happens around every RPC, in one interceptor.

Owns deadlines, authentication, validation, error translation, RED metrics and the
access log; what is known of a call is in `rpc`. Used once per server, by its dispatcher or
as its last interceptor, since it wraps a method's handler once and keeps it. Never logs a
request's content above the debug level and never lets an exception's text out.
"""

import asyncio
import contextlib
import inspect
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_status import rpc_status

from servicekit import arrivals, errors, logs, rpc, sanitizer, tasks
from servicekit import metrics as metrics_module

# These are asked by machinery that carries neither key nor deadline.
_EXEMPT = ("/grpc.health.v1.", "/grpc.reflection.")
_TROUBLE_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_MALFORMED = object()

# Of all lines about calls: what people search for.
_LOGGER = "servicekit.rpc"
_log = logs.get_logger(_LOGGER)

Authenticate = Callable[[str, rpc.Metadata], Awaitable[Any]]
Translate = Callable[[Exception], errors.RpcError | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Method:
    """What is decided once per method."""

    name: str
    streaming: bool
    needs_deadline: bool
    max_deadline_s: float
    stats: metrics_module.MethodStats
    access: logs.AccessLog


class Pipeline(grpc.aio.ServerInterceptor):
    """The one interceptor of a server.

    Args:
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
        authenticate: Authenticate | None = None,
        validate: Callable[[Message], None] | None = None,
        metrics: metrics_module.Metrics | None = None,
        max_deadline: Callable[[str], float | None] | None = None,
        require_deadline: Callable[[str], bool] | None = None,
        translate: Translate | None = None,
    ) -> None:
        self._authenticate = authenticate
        self._validate = validate
        self._metrics = metrics or metrics_module.Metrics()
        self._max_deadline = max_deadline
        self._require_deadline = require_deadline
        self._translate = translate
        self._handlers: dict[str, Any] = {}
        self._arrivals = arrivals.Arrivals()

    def wrap(self, path: str, handler: Any) -> Any:
        """Return `handler` with everything around it; health and reflection get limits alone."""
        if path.startswith(_EXEMPT):
            return self._arrivals.keyless(handler)
        return self._wrap(path, handler)

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return the method's wrapped handler; None when there is no such method."""
        path = handler_call_details.method
        wrapped = self._handlers.get(path)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            wrapped = self._handlers[path] = self.wrap(path, handler)
        rpc.arrived(handler_call_details.invocation_metadata)
        return wrapped

    def _wrap(self, path: str, handler: Any) -> Any:
        name = path.lstrip("/").replace("/", ".")
        streaming = handler.response_streaming or handler.request_streaming
        longest_s = self._max_deadline(name) if self._max_deadline is not None else None
        method = _Method(
            name=name,
            streaming=streaming,
            needs_deadline=not streaming
            and (self._require_deadline is None or self._require_deadline(name)),
            # gRPC rounds a timeout up on its way: one that equals the longest is not cut.
            max_deadline_s=math.inf if longest_s is None else longest_s * 1.02,
            stats=self._metrics.rpc.of(name),
            access=logs.AccessLog(_LOGGER, name),
        )
        decode = _safe(handler.request_deserializer)
        # gRPC calls these as soon as the headers are there, and others once a message is: who
        # sends none would be held without having said who that is.
        if handler.response_streaming:
            behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
            return grpc.stream_stream_rpc_method_handler(
                self._stream(method, behavior, decode, reads=not handler.request_streaming),
                response_serializer=handler.response_serializer,
            )
        behavior = handler.stream_unary if handler.request_streaming else handler.unary_unary
        serve = self._unary(
            method,
            behavior,
            decode,
            handler.response_serializer,
            reads=not handler.request_streaming,
        )
        return grpc.stream_unary_rpc_method_handler(serve)

    def _unary(
        self, method: _Method, behavior: Any, decode: Any, serialize: Any, *, reads: bool
    ) -> Any:
        needs_deadline, max_deadline_s = method.needs_deadline, method.max_deadline_s
        authenticate, check, message = self._authenticate, self._check, self._arrivals.message

        async def serve(request: Any, context: Any) -> Any:
            call, status = rpc.begin(method.name), None
            try:
                left_s = call.deadline_s = context.time_remaining()
                if left_s is None and needs_deadline:
                    raise errors.deadline_required()
                if authenticate is not None:
                    call.principal = await authenticate(call.method, call.metadata)
                request = check(await message(context) if reads else request, decode)
                if left_s is None or left_s > max_deadline_s:
                    response = await _limited(behavior(request, context), call, max_deadline_s)
                else:
                    response = await behavior(request, context)
                raw = response if serialize is None else serialize(response)
            except BaseException as failure:
                status = self._failed(method, call, request, context, failure)
            if status is not None:
                request = None
                await _abort(context, status, call.request_id)
            seconds = time.perf_counter() - call.started_s
            if not call.named:
                context.set_trailing_metadata(
                    (*context.trailing_metadata(), (rpc.REQUEST_ID_HEADER, call.request_id))
                )
            self._end(method, call, context.code() or grpc.StatusCode.OK, seconds)
            return raw

        return serve

    def _stream(self, method: _Method, behavior: Any, decode: Any, *, reads: bool) -> Any:
        generates = inspect.isasyncgenfunction(behavior)

        async def serve(request: Any, context: Any) -> None:
            call, status = rpc.begin(method.name), None
            method.stats.streams += 1
            try:
                call.deadline_s = context.time_remaining()
                if self._authenticate is not None:
                    call.principal = await self._authenticate(call.method, call.metadata)
                request = self._check(
                    await self._arrivals.message(context) if reads else request, decode
                )
                await context.send_initial_metadata(((rpc.REQUEST_ID_HEADER, call.request_id),))
                if generates:
                    async with contextlib.aclosing(behavior(request, context)) as responses:
                        async for response in responses:
                            await context.write(response)
                else:
                    await behavior(request, context)
            except BaseException as failure:
                status = self._failed(method, call, request, context, failure)
            finally:
                method.stats.streams -= 1
            if status is not None:
                request = None
                await _abort(context, status, call.request_id)
            seconds = time.perf_counter() - call.started_s
            self._end(method, call, context.code() or grpc.StatusCode.OK, seconds)

        return serve

    def _check(self, request: Any, decode: Any) -> Any:
        """Return the request, valid, or a stream of requests that are checked one by one.

        It comes as bytes: what nobody knows the sender of is not worth the time to read it.
        """
        if decode is not None and isinstance(request, bytes):
            request = decode(request)
        if isinstance(request, Message):
            if self._validate is not None:
                self._validate(request)
            if logs.enabled("debug"):
                shown = sanitizer.sanitize_message(request, logs.sensitive_option())
                _log.debug("rpc request", method=rpc.current().method, request=shown)
            return request
        if request is _MALFORMED:
            raise errors.malformed_message()
        return self._checked(request, decode) if hasattr(request, "__aiter__") else request

    async def _checked(self, requests: AsyncIterator[Any], decode: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield self._check(request, decode)

    def _failed(
        self, method: _Method, call: rpc.Call, request: Any, context: Any, failure: BaseException
    ) -> Any:
        """Return the status that `failure` stands for, to end the call with; raise what ends it
        otherwise.
        """
        seconds = time.perf_counter() - call.started_s
        if isinstance(failure, grpc.aio.AbortError):
            self._end(method, call, context.code() or grpc.StatusCode.UNKNOWN, seconds)
            raise failure
        if not isinstance(failure, Exception) and not is_meant(failure):
            # Not the end of the call or of the process: somebody still waits for an answer.
            fault = RuntimeError("what the call waited for ended in no ordinary way")
            fault.__cause__ = failure
            failure = fault
        if not isinstance(failure, Exception) or _is_transport(failure):
            over = call.deadline_s is not None and seconds >= call.deadline_s
            code = grpc.StatusCode.DEADLINE_EXCEEDED if over else grpc.StatusCode.CANCELLED
            self._end(method, call, code, seconds)
            if isinstance(failure, grpc.aio.InternalError):
                # The caller is gone before gRPC has heard of it, which would log that as an error.
                raise asyncio.CancelledError from failure
            raise failure
        error = self._error(call, request, failure)
        error.metadata.setdefault("request_id", call.request_id)
        self._end(method, call, error.code, seconds, error.reason)
        return rpc_status.to_status(errors.to_status(error))

    def _error(self, call: rpc.Call, request: Any, failure: Exception) -> errors.RpcError:
        """Return what the caller is told; log what only we may know."""
        error = self._translate(failure) if self._translate is not None else None
        if error is None:
            error = failure if isinstance(failure, errors.RpcError) else None
        if error is None or (error is not failure and error.code in errors.BUG_CODES):
            hidden = _hidden(request)
            _log.error("unexpected exception", method=call.method, exc_info=failure, hidden=hidden)
        elif error.code is grpc.StatusCode.UNAVAILABLE and not isinstance(failure, errors.RpcError):
            problem = sanitizer.scrub_text(str(failure), tuple(_hidden(request)))
            _log.warning("a call can't be served", method=call.method, problem=problem)
        return error or errors.internal(call.request_id)

    def _end(
        self,
        method: _Method,
        call: rpc.Call,
        code: grpc.StatusCode,
        seconds: float,
        reason: str | None = None,
    ) -> None:
        method.stats.ended(code.name)
        if not method.streaming:
            method.stats.took(seconds)
        level = "info"
        if code in errors.BUG_CODES:
            level = "error"
        elif code in _TROUBLE_CODES:
            level = "warning"
        tenant_id = getattr(call.principal, "tenant_id", None)
        method.access.write(level, code.name, seconds * 1_000, tenant_id, reason)


async def _abort(context: Any, status: Any, request_id: str) -> NoReturn:
    """End a call with `status`.

    What gRPC ends a call by and the call hold each other until the next collection, and with
    them the frames that it came through: nothing in these may still name what was asked.
    """
    named = (rpc.REQUEST_ID_HEADER, request_id)
    await context.abort(status.code, status.details, (*status.trailing_metadata, named))
    raise AssertionError("abort returned")


def _hidden(request: Any) -> list[str]:
    """Return what of a request, and of what it is about, must not be in a log line."""
    known = list(logs.hidden())
    if isinstance(request, Message):
        known += sanitizer.sensitive_values(request, logs.sensitive_option())
    return known


async def _limited(work: Any, call: rpc.Call, max_deadline_s: float) -> Any:
    if max_deadline_s == math.inf:
        return await work
    call.deadline_s = max_deadline_s
    limit = asyncio.timeout(max_deadline_s)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise errors.deadline_exceeded() from None
        raise


def is_meant(failure: BaseException) -> bool:
    """Tell whether what is no Exception is meant for the call, or for the process.

    If not, something that was waited for was canceled, or a library panicked or called `sys.exit`.
    """
    if isinstance(failure, asyncio.CancelledError):
        return tasks.is_canceled()
    return isinstance(failure, (GeneratorExit, KeyboardInterrupt))


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
