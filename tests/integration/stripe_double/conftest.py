"""A running double for each test, and the official SDK that speaks to it.

Owns the check, after each test, that everything the double made fits the SDK's declarations.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import stripe

from tests.stripe_double import running, shapes, store


@pytest.fixture
async def double() -> AsyncIterator[running.Double]:
    """A double of its own, whose objects are held against the SDK afterwards."""
    async with running.serve() as started:
        yield started
        found = [
            problem
            for items in started.world.objects.values()
            for item in items.values()
            for problem in shapes.problems(item)
        ]
        assert not found, "\n".join(sorted(set(found)))


@pytest.fixture
async def new_client(double: running.Double) -> AsyncIterator[Callable[..., Any]]:
    """Makes SDK clients whose base address is the double."""
    async with contextlib.AsyncExitStack() as stack:

        def make(key: str = store.DEFAULT_KEY, **options: Any) -> Any:
            transport = stripe.AIOHTTPClient(connector=aiohttp.TCPConnector())
            stack.push_async_callback(transport.close_async)
            return stripe.StripeClient(
                key,
                base_addresses={"api": double.address},
                http_client=transport,
                max_network_retries=0,
                **options,
            ).v1

        yield make


@pytest.fixture
async def client(new_client: Callable[..., Any]) -> Any:
    """A client with the key of the main account."""
    return new_client()
