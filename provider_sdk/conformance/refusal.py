"""A status other than OK, taken apart.

Owns reading ErrorInfo, Failure, RetryInfo and BadRequest out of a status.
Raised by every call of the suite. Never guesses: what is absent stays absent,
except that an effect without Failure is UNKNOWN, as the contract says.
"""

from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from payhub.provider.v1 import failure_pb2

DETAILS_KEY = "grpc-status-details-bin"
_EFFECT_PREFIX = "EFFECT_"
_REASON_PREFIX = "FAILURE_REASON_"


class Refused(Exception):
    """A call that ended with a status other than OK.

    Args:
        error: What gRPC raised.
    """

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.infos: list[error_details_pb2.ErrorInfo] = []
        self.failures: list[failure_pb2.Failure] = []
        self.retry_after_s: float | None = None
        self.fields: list[tuple[str, str]] = []
        # Why details that came can't be used, as core can't either; '' if they can.
        self.unusable = ""
        self.metadata = [*_pairs(error.initial_metadata()), *_pairs(error.trailing_metadata())]
        for name, value in self.metadata:
            if name == DETAILS_KEY and isinstance(value, bytes):
                self._read(value)

    @property
    def reason(self) -> str:
        """Reason of the first ErrorInfo; empty without one."""
        return str(self.infos[0].reason) if self.infos else ""

    @property
    def effect(self) -> str:
        """NONE or UNKNOWN; without a Failure, or with a value not known here, UNKNOWN."""
        if not self.failures:
            return "UNKNOWN"
        effect = self.failures[0].effect
        none = failure_pb2.Failure.EFFECT_NONE
        return "NONE" if effect == none else "UNKNOWN"

    @property
    def text(self) -> str:
        """Everything the status carries, for searching; never shown to people."""
        return f"{self.message} {self.metadata} {self.infos} {self.failures} {self.fields}"

    def shown(self) -> str:
        """Says in one line what came, for a report."""
        parts = [self.code.name]
        if self.infos:
            parts.append("reason " + ", ".join(info.reason or "(empty)" for info in self.infos))
        elif self.unusable:
            parts.append(self.unusable)
        else:
            parts.append("no ErrorInfo")
        if self.failures:
            parts.append("effect " + ", ".join(_effect(failure) for failure in self.failures))
        else:
            parts.append("no Failure")
        return f"{', '.join(parts)}: {self.message[:200]!r}"

    def problems(self, *, domain: str) -> list[str]:
        """Returns how the details of a failed money call break the contract, if they do.

        Args:
            domain: The plugin id.
        """
        if self.unusable:
            return [self.unusable]
        found = []
        if len(self.infos) != 1:
            found.append(f"{len(self.infos)} ErrorInfo instead of one")
        if len(self.failures) != 1:
            found.append(f"{len(self.failures)} Failure instead of one")
        if found:
            return found
        info, failure = self.infos[0], self.failures[0]
        if info.domain != domain:
            found.append(f"ErrorInfo.domain is {info.domain[:64]!r} instead of {domain!r}")
        name = reason_name(failure.reason)
        if name and name != info.reason:
            found.append(f"ErrorInfo says {info.reason}, Failure says {name}")
        if failure.effect == failure_pb2.Failure.EFFECT_UNSPECIFIED:
            found.append("Failure.effect is not set")
        return found

    def _read(self, raw: bytes) -> None:
        status = status_pb2.Status()
        try:
            status.ParseFromString(raw)
        except DecodeError:
            self.unusable = f"what {DETAILS_KEY} holds is no google.rpc.Status"
            return
        if status.code != self.code.value[0]:
            self.unusable = (
                f"google.rpc.Status.code in {DETAILS_KEY} is {_code_name(status.code)}, "
                f"and the call ended with {self.code.name}"
            )
            return
        for detail in status.details:
            self._take(detail)

    def _take(self, detail: Any) -> None:
        info, failure = error_details_pb2.ErrorInfo(), failure_pb2.Failure()
        retry, bad = error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
        if _unpack(detail, info):
            self.infos.append(info)
        elif _unpack(detail, failure):
            self.failures.append(failure)
        elif _unpack(detail, retry):
            self.retry_after_s = retry.retry_delay.ToMicroseconds() / 1e6
        elif _unpack(detail, bad):
            self.fields += [(found.field, found.description) for found in bad.field_violations]


def _code_name(number: int) -> str:
    return {code.value[0]: code.name for code in grpc.StatusCode}.get(number, str(number))


def reason_name(reason: int) -> str:
    """Returns a reason without its prefix; empty for one this suite does not know."""
    try:
        name = failure_pb2.FailureReason.Name(reason)
    except ValueError:
        return ""
    return name.removeprefix(_REASON_PREFIX)


def _effect(failure: failure_pb2.Failure) -> str:
    try:
        return failure_pb2.Failure.Effect.Name(failure.effect).removeprefix(_EFFECT_PREFIX)
    except ValueError:
        return str(int(failure.effect))


def _unpack(detail: Any, message: Message) -> bool:
    try:
        return bool(detail.Unpack(message))
    except DecodeError:
        return False


def _pairs(metadata: Any) -> list[tuple[str, str | bytes]]:
    return [(str(name), value) for name, value in metadata or ()]
