"""One request to Stripe, whole: its turn, its time, its errors.

Owns repeating what Stripe asks to repeat, and turning exceptions into what they mean. Called
by every operation and look-up. Never repeats anything else, and never with another key.
"""

import asyncio
import email.utils
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import aiohttp
import stripe

from provider_sdk import errors, provider
from provider_stripe import config, failures, transport

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
        return await _ask(account, deadline, request, lambda: None)
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
    reply = await _ask(account, deadline, request, call.ensure_in_time)
    if not reply.replayed or retrieve is None:
        return reply
    return await after_change(read(account, deadline, lambda: retrieve(str(reply.told["id"]))))


async def after_change(question: Awaitable[_T]) -> _T:
    """Returns the answer to a question that is asked after a change was made.

    Raises:
        errors.NoAnswer: Whatever the question met; the change was made all the same.
    """
    try:
        return await question
    except errors.ProviderError:
        raise errors.NoAnswer("Stripe did not say how what was made stands now") from None


async def _ask(
    account: transport.Account,
    deadline: Deadline,
    request: Callable[[], Awaitable[Any]],
    ensure_in_time: Callable[[], None],
) -> Reply:
    repeats = 0
    while True:
        await account.pace.turn()
        ensure_in_time()
        try:
            async with asyncio.timeout_at(deadline.ends_s):
                answer = await request()
        except (stripe.StripeError, aiohttp.ClientError, OSError, ValueError) as error:
            asked_again = failures.repeat_at_once(error) and repeats < REPEATS_MAX
            if not asked_again or deadline.left_s() <= REPEAT_PAUSE_S:
                raise failures.of(error) from error
        else:
            return Reply(answer.to_dict(), _at_s(answer), _is_replayed(answer))
        repeats += 1
        await asyncio.sleep(REPEAT_PAUSE_S)


def _is_replayed(answer: Any) -> bool:
    response = answer.last_response
    return response is not None and response.headers.get("Idempotent-Replayed") == "true"


def _at_s(answer: Any) -> float:
    response = answer.last_response
    told = response.headers.get("Date", "") if response is not None else ""
    try:
        return email.utils.parsedate_to_datetime(told).timestamp()
    except ValueError:
        return float(int(time.time()))
