"""One request to the upstream double, and how it went.

Owns which sort of request it is, in the double's own API. Kept by `upstream`, which answers
them, and read by the checks. Never says what becomes of it.
"""

import enum
import json
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h11


class Sort(enum.StrEnum):
    """Which of the requests it is, or which of them a fault strikes."""

    EVERYTHING = "everything"
    MUTATIONS = "mutations"
    LOOKUPS = "lookups"
    CHECKS = "checks"


EVERYTHING = Sort.EVERYTHING
MUTATIONS = Sort.MUTATIONS
LOOKUPS = Sort.LOOKUPS
CHECKS = Sort.CHECKS


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and how it went.

    Args:
        what: Which of the three requests it is; EVERYTHING for any other path.
        path: As sent, without query.
        key: Idempotency key of an operation, or the key looked up.
        account: Merchant account it names.
        headers: Names in lower case.
        params: JSON body of an operation.
        arrived_s: When it was read, monotonic seconds.
        acted: Whether it booked or found its operation.
        aborted: Whether the provider hung up before it had an answer.
        answered: Whether an answer was written, right or wrong.
        took_s: Seconds from its arrival to its answer.
    """

    what: Sort
    path: str
    key: str = ""
    account: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    arrived_s: float = 0.0
    acted: bool = False
    aborted: bool = False
    answered: bool = False
    took_s: float = 0.0


def read(request: h11.Request, body: bytes) -> Exchange:
    """Returns what a request of the double's own API is."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
    path = request.target.decode("latin-1").partition("?")[0]
    method = request.method.decode("latin-1")
    exchange = Exchange(
        what=EVERYTHING,
        path=path,
        headers=headers,
        account=headers.get("account", ""),
        arrived_s=time.monotonic(),
    )
    if (method, path) == ("POST", "/v1/operations"):
        exchange.what = MUTATIONS
        exchange.key = headers.get("idempotency-key", "")
        exchange.params = _object(body)
    elif method == "GET" and path.startswith("/v1/operations/"):
        exchange.what = LOOKUPS
        exchange.key = urllib.parse.unquote(path.removeprefix("/v1/operations/"))
    elif (method, path) == ("GET", "/v1/account"):
        exchange.what = CHECKS
    return exchange


def _object(body: bytes) -> Mapping[str, Any]:
    """Returns the JSON object in *body*; anything else is an empty one, which is refused."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
