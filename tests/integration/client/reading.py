"""Readers of events whose time passes as a test wants.

Owns the waits that a client asks for, and short ways to read. Called by the tests of
subscriptions.
"""

import asyncio

import payhub_client
from payhub_client import Delivery, retries


class Sleeps:
    """Notes the waits that the client asks for, and takes none of them."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Note a wait and let others run."""
        self.asked_s.append(seconds)
        await asyncio.sleep(0)


class Time:
    """A clock that only the client's own waits move on, and the test."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def timing(self) -> retries.Timing:
        """Returns what makes a client live by it."""
        return retries.Timing(
            monotonic_s=lambda: self.now_s, sleep=self._pass_by, chance=lambda: 0.0
        )

    async def _pass_by(self, seconds: float) -> None:
        self.now_s += seconds


async def take(subscription: payhub_client.Subscription, count: int) -> list[Delivery]:
    """The next `count` deliveries."""
    return [await anext(subscription) for _ in range(count)]


def numbers(deliveries: list[Delivery]) -> list[int]:
    """The events' numbers in the log, from 1."""
    return [delivery.event.position // 2 for delivery in deliveries]
