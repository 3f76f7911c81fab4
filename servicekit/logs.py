"""Structured logs: one JSON object per line on stderr.

Owns the format, the fields bound to the current call and the way lines reach
stderr: a short buffer that a thread empties, at once for errors and at exit.
Called by everybody through `get_logger`; never writes an unsanitized value.
"""

import atexit
import collections
import contextlib
import contextvars
import json
import logging
import sys
import textwrap
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

import structlog

from servicekit import sanitizer

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

FLUSH_INTERVAL_S = 0.05
BUFFER_LINES_MAX = 4_096

_NOTHING: Mapping[str, Any] = types.MappingProxyType({})
_bound: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar(
    "log_fields", default=_NOTHING
)
_hiding: contextvars.ContextVar[Callable[[], Iterable[str]]] = contextvars.ContextVar(
    "log_hiding", default=tuple
)
_quote = json.encoder.encode_basestring
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


class _State:
    """What `configure` decided; one per process."""

    threshold = LEVELS["info"]
    service = ""
    service_json = '"service":""'
    console = False
    sensitive: Any = None


class _Sink:
    """Lines on their way to stderr; a full buffer makes the caller write."""

    def __init__(self) -> None:
        self.stream: TextIO | None = None
        self._lines: collections.deque[str] = collections.deque()
        self._write_lock = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, line: str, *, now: bool) -> None:
        self._lines.append(line)
        if now or self._thread is None or len(self._lines) >= BUFFER_LINES_MAX:
            self.flush()
        elif not self._wanted.is_set():
            self._wanted.set()

    def flush(self) -> None:
        with self._write_lock:
            lines: list[str] = []
            # Taken one by one: swapping the container would lose a line that
            # another thread is about to append to the old one.
            with contextlib.suppress(IndexError):
                while True:
                    lines.append(self._lines.popleft())
            if not lines:
                return
            stream = self.stream or sys.stderr
            try:
                stream.write("".join(lines))
                stream.flush()
            except (OSError, ValueError):
                # Nobody reads our stderr any more; a payment must not fail for that.
                return

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log-flush", daemon=True)
            self._thread.start()
            atexit.register(self.flush)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(FLUSH_INTERVAL_S)
            self._wanted.clear()
            self.flush()


_sink = _Sink()


class Logger(structlog.BoundLoggerBase):
    """A logger with a name; values are keywords, secrets among them are masked."""

    def debug(self, event: str, **values: Any) -> None:
        """Say what only a developer wants to know."""
        if _State.threshold <= 10:
            self._proxy_to_logger("debug", event, **values)

    def info(self, event: str, **values: Any) -> None:
        """Say what happened as it should."""
        if _State.threshold <= 20:
            self._proxy_to_logger("info", event, **values)

    def warning(self, event: str, **values: Any) -> None:
        """Say what an operator may want to look at."""
        if _State.threshold <= 30:
            self._proxy_to_logger("warning", event, **values)

    def error(self, event: str, **values: Any) -> None:
        """Say what went wrong."""
        if _State.threshold <= 40:
            self._proxy_to_logger("error", event, **values)

    def exception(self, event: str, **values: Any) -> None:
        """Say what went wrong, with the traceback of the current exception."""
        self.error(event, exc_info=True, **values)


class AccessLog:
    """Writes one line per RPC of one method, in the shape of all other lines.

    Built by hand from parts that are known to be harmless: this line is written
    for every call, and the general path takes several times as long.
    """

    __slots__ = ("_logger", "_method", "_tail")

    def __init__(self, logger: str, method: str) -> None:
        self._logger = get_logger(logger)
        self._method = method
        self._tail = f',"logger":{_quote(logger)},"method":{_quote(method)},"code":"'

    def write(
        self,
        level: str,
        code: str,
        duration_ms: float,
        tenant_id: str | None,
        reason: str | None,
    ) -> None:
        """Write the line; the fields bound to the current call are part of it."""
        if LEVELS[level] < _State.threshold:
            return
        if _State.console:
            values = {"tenant_id": tenant_id, "reason": reason}
            shown = {name: value for name, value in values.items() if value is not None}
            self._logger._proxy_to_logger(
                level,
                "rpc",
                method=self._method,
                code=code,
                duration_ms=round(duration_ms, 2),
                **shown,
            )
            return
        parts = [f'{{"ts":"{_timestamp()}","level":"{level}","event":"rpc",{_State.service_json}']
        for name, value in _bound.get().items():
            parts.append(f",{_quote(name)}:{_value_json(name, value)}")
        parts.append(f'{self._tail}{code}","duration_ms":{duration_ms:.2f}')
        if tenant_id is not None:
            parts.append(f',"tenant_id":{_value_json("tenant_id", tenant_id)}')
        if reason is not None:
            parts.append(f',"reason":{_value_json("reason", reason)}')
        parts.append("}\n")
        _sink.write("".join(parts), now=level == "error")


class _Writer:
    """The end of the processor chain: gets a finished line."""

    def debug(self, line: str) -> None:
        _sink.write(line, now=False)

    info = warning = debug

    def error(self, line: str) -> None:
        _sink.write(line, now=True)


def configure(
    *, service: str, level: str = "info", fmt: str = "json", sensitive: Any = None
) -> None:
    """Set up logging for this process; may be called again.

    Args:
        service: name in every line.
        level: debug, info, warning or error.
        fmt: `json`, or `console` for people.
        sensitive: the contract's field option that marks secrets, if it has one.
    """
    _State.threshold = LEVELS[level]
    _State.service = service
    _State.service_json = f'"service":{_quote(service)}'
    _State.console = fmt == "console"
    _State.sensitive = sensitive
    _sink.start()
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Bridge)]
    root.addHandler(_Bridge())
    root.setLevel(max(_State.threshold, LEVELS["info"]))
    for noisy in ("uvicorn", "uvicorn.error", "alembic.runtime.plugins"):
        logging.getLogger(noisy).setLevel(max(_State.threshold, LEVELS["warning"]))


def get_logger(name: str) -> Logger:
    """Return the logger of a module: `get_logger(__name__)`."""
    return Logger(_Writer(), [_finish], {"logger": name})


def bind(**values: Any) -> None:
    """Add fields to every further line of the current call or task."""
    _bound.set({**_bound.get(), **values})


def replace_bound(values: Mapping[str, Any]) -> None:
    """Set the fields of the current call or task, dropping inherited ones."""
    _bound.set(values)
    _hiding.set(tuple)


def hide(secrets: Callable[[], Iterable[str]]) -> None:
    """Keep what `secrets` returns, once asked, out of every traceback of the current call."""
    _hiding.set(secrets)


def hidden() -> tuple[str, ...]:
    """Return what `hide` was given for the current call."""
    return tuple(_hiding.get()())


def enabled(level: str) -> bool:
    """Tell whether lines of this level are written."""
    return LEVELS[level] >= _State.threshold


def sensitive_option() -> Any:
    """Return the field option given to `configure`, or None."""
    return _State.sensitive


def flush() -> None:
    """Write what is buffered."""
    _sink.flush()


def _finish(_: Any, level: str, fields: Any) -> str:
    line: dict[str, Any] = {
        "ts": _timestamp(),
        "level": level,
        "event": fields.pop("event"),
        "service": _State.service,
    }
    line.update(_bound.get())
    exc_info = fields.pop("exc_info", None)
    given = fields.pop("hidden", ())
    line.update(fields)
    for key, value in line.items():
        if sanitizer.is_secret_name(key):
            line[key] = sanitizer.MASK
        elif type(value) is str:
            if "phk_" in value or "sk_" in value:
                line[key] = sanitizer.scrub_keys(value)
        elif type(value) is not int and type(value) is not float:
            line[key] = sanitizer.sanitize_value(value)
    if exc_info:
        line["exception"] = _traceback(exc_info, (*given, *hidden()))
    return (_console(line) if _State.console else _encode(line)) + "\n"


def _encode(value: Any) -> str:
    text = _to_json(value)
    return text if text.isprintable() else _escaped(text)


def _escaped(text: str, *, but: str = "") -> str:
    """Return `text` with what a terminal would obey, or take for the end of a line, as escapes."""
    return "".join(
        each if each.isprintable() or each in but else json.dumps(each)[1:-1] for each in text
    )


def _value_json(name: str, value: Any) -> str:
    if sanitizer.is_secret_name(name):
        return _quote(sanitizer.MASK)
    if type(value) is str and "phk_" not in value and "sk_" not in value:
        return _quote(value)
    return _encode(sanitizer.sanitize_value(value))


_clock_second = 0
_clock_text = ""


def _timestamp() -> str:
    global _clock_second, _clock_text
    now_ns = time.time_ns()
    second = now_ns // 1_000_000_000
    if second != _clock_second:
        _clock_text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        _clock_second = second
    return f"{_clock_text}{now_ns % 1_000_000_000 // 1_000:06d}Z"


def _traceback(exc_info: Any, unshown: tuple[str, ...]) -> str:
    if isinstance(exc_info, BaseException):
        failure: BaseException | None = exc_info
    elif isinstance(exc_info, tuple):
        failure = exc_info[1]
    else:
        failure = sys.exc_info()[1]
    if failure is None:
        return ""
    return sanitizer.scrub_text("".join(traceback.format_exception(failure)), unshown)


def _console(line: dict[str, Any]) -> str:
    shown = dict(line)
    head = f"{shown.pop('ts')} {shown.pop('level'):<7} {shown.pop('event')}"
    trace = shown.pop("exception", "")
    tail = " ".join(f"{key}={value}" for key, value in shown.items() if key != "service")
    said = _escaped(f"{head} {tail}")
    if not trace:
        return said
    # Further in: only we begin lines.
    return f"{said}\n" + textwrap.indent(_escaped(trace, but="\n"), "  ")


class _Bridge(logging.Handler):
    """Brings the lines of libraries into our format."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= 40 else "warning" if record.levelno >= 30 else "info"
        if record.levelno < _State.threshold:
            return
        try:
            fields: dict[str, Any] = {
                "event": sanitizer.scrub_text(record.getMessage()),
                "logger": record.name,
            }
            if record.exc_info:
                fields["exc_info"] = record.exc_info
            _sink.write(_finish(None, level, fields), now=level == "error")
        except Exception:
            self.handleError(record)
