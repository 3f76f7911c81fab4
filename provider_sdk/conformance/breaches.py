"""Answers that break the contract's own rules.

Owns what was seen of them during a run: fields against the rules beside them, times that
nobody can tell on, texts that no database takes. Called by `channels` for each answer and
by the check that judges the whole run. Never keeps a value of an answer.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.message import DecodeError, Message

from servicekit import errors, validation

BREACHES_MAX = 50

_TIMES = {
    timestamp_pb2.Timestamp.DESCRIPTOR.full_name: "is not of the years 1 to 9999",
    duration_pb2.Duration.DESCRIPTOR.full_name: "is no duration of at most 10,000 years",
}


class Breaches:
    """What was seen, each once."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}
        self._overlooks = False

    @contextlib.contextmanager
    def overlooked(self) -> Iterator[None]:
        """Takes no notice meanwhile: whoever is asked nonsense may repeat it."""
        self._overlooks = True
        try:
            yield
        finally:
            self._overlooks = False

    def seen(self) -> list[str]:
        """Returns them in the order in which they were seen, at most 50."""
        return list(self._seen)

    def decoded(self, method: str, raw: bytes, decode: Any) -> Any:
        """Returns an answer of *method*, after looking at it.

        Raises:
            DecodeError: It is no message of the contract.
        """
        try:
            answer = decode(raw)
        except DecodeError:
            self._note(method, "an answer that can't be decoded")
            raise
        if isinstance(answer, Message):
            for what in _of(answer):
                self._note(method, what)
        return answer

    def _note(self, method: str, what: str) -> None:
        if len(self._seen) < BREACHES_MAX and not self._overlooks:
            self._seen.setdefault(f"{method.rpartition('/')[2]}: {what}")


def _of(answer: Message) -> Iterator[str]:
    try:
        validation.validate(answer)
    except errors.RpcError as refused:
        for path, text in refused.violations:
            yield f"{path or '(the whole)'} {text}"
    yield from _untellable(answer, "")


def _untellable(message: Message, path: str) -> Iterator[str]:
    """Yields what is valid by type and can't be told on."""
    for field, value in message.ListFields():
        here = f"{path}{field.name}"
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            continue
        for one in value if field.is_repeated else [value]:
            if isinstance(one, str):
                if "\0" in one:
                    yield f"{here} holds NUL"
            elif kind is not None and kind.full_name in _TIMES:
                try:
                    one.ToJsonString()
                except ValueError:
                    yield f"{here} {_TIMES[kind.full_name]}"
            elif isinstance(one, Message):
                yield from _untellable(one, f"{here}.")
