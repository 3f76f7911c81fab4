"""How much of an answer is read: no more than it takes to know what it says.

Owns the protocol under the sender's connections. Never judges an answer.

The client takes bodies as fast as they are wanted, but informational answers, sizes and extensions
of chunks as fast as they come, on the loop that serves everybody.
"""

import contextlib
import functools
from typing import Any

import aiohttp
from aiohttp import client_proto

# Of an answer in all: of its body, half of it is looked at.
BYTES_MAX = 32 * 1024


class _Protocol(client_proto.ResponseHandler):
    """A connection that reads so much of each answer and then nothing more: if that does not say
    what there was to say, the request runs into its time-out.
    """

    _left = 0

    def set_response_params(self, **params: Any) -> None:
        self._left = BYTES_MAX
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if data and self._left <= 0:
            return
        super().data_received(data[: self._left])
        self._left -= len(data)
        if self._left <= 0:
            self.force_close()
            self._hold()

    def resume_reading(self, resume_parser: bool = True) -> None:
        super().resume_reading(resume_parser)
        if self._left <= 0:
            self._hold()

    def _hold(self) -> None:
        # What comes all the same, of a transport that can't pause, is dropped.
        with contextlib.suppress(NotImplementedError, RuntimeError):
            if self.transport is not None:
                self.transport.pause_reading()


def bound(connector: aiohttp.TCPConnector) -> aiohttp.TCPConnector:
    """Has the connections of a connector read bounded answers; returns it."""
    kind: type[client_proto.ResponseHandler] = _Protocol
    connector._factory = functools.partial(kind, loop=connector._loop)
    return connector
