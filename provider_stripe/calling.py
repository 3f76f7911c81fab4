"""One request to Stripe, whole: its turn, its time, its errors.

Owns repeating what Stripe asks to repeat, and turning exceptions into what they mean. Called
by every operation and look-up. Never repeats anything else, and never with another key.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from provider_sdk import errors, provider
from provider_stripe import config, failures, transport
from servicekit import http_dates

# As long as Stripe itself may take. A caller that goes earlier is told that nobody knows, and
# the request goes on: broken off it might have had its effect all the same.
REQUEST_MAX_S = 80.0
REPEATS_MAX = 2
REPEAT_PAUSE_S = 0.5

Json = Mapping[str, Any]
Call = provider.Call[config.StripeConfig]
_T = TypeVar("_T")


class Reply(NamedTuple):
    """What Stripe answered, and when by its own clock, epoch seconds.

    Its webhooks tell time by the same clock, in whole seconds too. `replayed` is an answer
    that was given to the same idempotency key before: *told* is as old as that one.
    """

    told: Json
    at_s: float
    replayed: bool = False


class Deadline:
    """When an operation or look-up has to be over."""

    def __init__(self, timeout_s: float) -> None:
        self.ends_s = asyncio.get_running_loop().time() + timeout_s

    def left_s(self) -> float:
        """Returns the seconds left, at least 0."""
        return max(self.ends_s - asyncio.get_running_loop().time(), 0.0)


async def read(
    account: transport.Account, deadline: Deadline, request: Callable[[], Awaitable[Any]]
) -> Reply:
    """Asks for something without changing anything; returns the answer.

    Raises:
        errors.ProviderError: It could not be read; `NotFound` if it is not there.
    """
    try:
        return await _ask(account, deadline, request, None)
    except failures.Declined as declined:
        code = declined.decline.provider_code
        raise errors.NoAnswer("Stripe did not answer the question", upstream_code=code) from None


async def send(
    account: transport.Account,
    deadline: Deadline,
    call: Call,
    request: Callable[[], Awaitable[Any]],
    retrieve: Callable[[str], Awaitable[Any]] | None,
) -> Reply:
    """Sends a change; returns the answer as it is true now.

    Args:
        account: Who asks.
        deadline: When it has to be over.
        call: The operation.
        request: Sends it.
        retrieve: Reads the object of an id, which is done if the answer is a replayed one.
            None where nothing that may have changed since is taken from the answer.

    Raises:
        failures.Declined: Stripe or a bank refused.
        errors.ProviderError: Nothing was done, or nobody knows.
    """
    reply = await _ask(account, deadline, request, call)
    if not reply.replayed or retrieve is None:
        return reply
    return await after_change(read(account, deadline, lambda: retrieve(str(reply.told["id"]))))


async def after_change(question: Awaitable[_T]) -> _T:
    """Returns the answer to a question, or a further change, that comes after one was made.

    Raises:
        errors.Mismatch: The operation was another one when it made the first change.
        errors.NoAnswer: Whatever else it met; the first change was made all the same.
    """
    try:
        return await question
    except errors.Mismatch:
        raise
    except errors.ProviderError:
        raise errors.NoAnswer("Stripe did not say how what was made stands now") from None


async def _ask(
    account: transport.Account,
    deadline: Deadline,
    request: Callable[[], Awaitable[Any]],
    changing: Call | None,
) -> Reply:
    """Asks until Stripe no longer wants it again; *changing* is the operation, if it is one."""
    repeats, in_doubt = 0, False
    while True:
        try:
            return await _once(account, deadline, request, changing)
        except failures.TURNED_INTO as error:
            meant = failures.of(error)
            asked_again = failures.repeat_at_once(error) and repeats < REPEATS_MAX
            if not asked_again or deadline.left_s() <= REPEAT_PAUSE_S:
                raise _of_all(meant, in_doubt=in_doubt) from error
        except errors.ProviderError as error:
            raise _of_all(error, in_doubt=in_doubt) from error
        # What one request may have done, no refusal of the next takes back.
        in_doubt = in_doubt or (changing is not None and failures.is_unknown(meant))
        repeats += 1
        await asyncio.sleep(REPEAT_PAUSE_S)


async def _once(
    account: transport.Account,
    deadline: Deadline,
    request: Callable[[], Awaitable[Any]],
    changing: Call | None,
) -> Reply:
    await account.pace.turn()
    connect_max_s: float | None = None
    if changing is not None:
        changing.ensure_in_time()
        # Waiting for a free connection is not to carry it past its fence.
        connect_max_s = (changing.not_after_us - changing.now_us()) / 1e6
    with transport.connecting(connect_max_s):
        async with asyncio.timeout_at(deadline.ends_s):
            answer = await request()
    return Reply(answer.to_dict(), _at_s(answer), _is_replayed(answer))


def _of_all(
    meant: errors.ProviderError | failures.Declined, *, in_doubt: bool
) -> errors.ProviderError | failures.Declined:
    """Returns what the last of several requests means for all of them."""
    if not in_doubt or isinstance(meant, failures.Declined) or failures.is_unknown(meant):
        return meant
    return errors.NoAnswer(
        "Stripe failed, and did not take the repeat; what it did is unknown",
        upstream_code=meant.upstream_code,
    )


def _is_replayed(answer: Any) -> bool:
    response = answer.last_response
    return response is not None and response.headers.get("Idempotent-Replayed") == "true"


def _at_s(answer: Any) -> float:
    response = answer.last_response
    told = response.headers.get("Date", "") if response is not None else ""
    said_s = http_dates.epoch_s(told)
    return float(int(time.time())) if said_s is None else said_s
