"""Places that few may hold: in order, within a share, for a while, and none is ever lost."""

import asyncio
import contextlib
import random

from servicekit import turns


async def test_who_waits_is_served_in_order_and_within_a_share() -> None:
    """Those who wait leave a place to those who don't, who in turn get none that is taken."""
    places = turns.Turns(3, waiting_max=10, share=2)
    let_in: list[int] = []
    leave = asyncio.Event()

    async def wait(number: int) -> None:
        async with places.turn(5.0) as taken:
            assert taken
            let_in.append(number)
            await leave.wait()

    tasks = [asyncio.create_task(wait(number)) for number in range(6)]
    await asyncio.sleep(0)
    assert places.waiting == 4
    assert (let_in, places.held) == ([0, 1], 2)
    async with places.turn() as taken:
        assert taken
        async with places.turn() as more:
            assert not more
    assert (places.held, places.waiting) == (2, 4)
    leave.set()
    await asyncio.gather(*tasks)
    assert (let_in, places.held, places.waiting) == ([*range(6)], 0, 0)


async def test_a_queue_and_its_patience_end() -> None:
    """One more than may wait is turned away at once, and who waited too long afterwards."""
    places = turns.Turns(1, waiting_max=1)
    async with places.turn() as taken:
        assert taken

        async def wait(patience_s: float) -> bool:
            async with places.turn(patience_s) as mine:
                return mine

        waiting = asyncio.create_task(wait(60.0))
        await asyncio.sleep(0)
        assert places.waiting == 1
        assert not await asyncio.wait_for(wait(60.0), 10)
        assert not await asyncio.wait_for(wait(0.0), 10)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert not await asyncio.wait_for(wait(0.05), 10)
        assert places.waiting == 0
    assert places.held == 0


async def test_no_place_is_lost_to_who_gives_up_in_any_order() -> None:
    """Cancelled while waiting, or right as a turn comes: all places are free in the end."""
    chance = random.Random(7)
    places = turns.Turns(3, waiting_max=50, share=2)

    async def visit(patience_s: float | None) -> None:
        async with places.turn(patience_s):
            assert places.held <= 3
            await asyncio.sleep(chance.choice((0, 0, 0.001)))

    tasks = []
    for _ in range(600):
        patience_s = chance.choice((None, 0.0, 0.001, 5.0))
        tasks.append(asyncio.create_task(visit(patience_s)))
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        if chance.random() < 0.4:
            chance.choice(tasks).cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert (places.held, places.waiting) == (0, 0)
