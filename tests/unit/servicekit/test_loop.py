"""The daemon loop: busy at once, idle waits, failures back off, stop ends it."""

import asyncio

import pytest

from servicekit import loop


async def test_work_is_done_at_once_until_there_is_none() -> None:
    """A positive count means "again"; stop is seen between two runs."""
    stop = asyncio.Event()
    left = [3, 2, 1]

    async def run_once() -> int:
        if not left:
            stop.set()
            return 0
        return left.pop()

    await asyncio.wait_for(loop.run_forever(run_once, idle_s=60, stop=stop, name="x"), 10)
    assert left == []


async def test_wake_ends_an_idle_wait_even_if_it_came_during_the_run() -> None:
    """No poke is lost between looking and waiting."""
    stop, wake = asyncio.Event(), asyncio.Event()
    runs = 0

    async def run_once() -> int:
        nonlocal runs
        runs += 1
        if runs == 1:
            wake.set()
        elif runs == 2:
            asyncio.get_running_loop().call_soon(wake.set)
        else:
            stop.set()
        return 0

    await asyncio.wait_for(
        loop.run_forever(run_once, idle_s=60, stop=stop, wake=wake, name="x"), 10
    )
    assert runs == 3


async def test_stop_ends_an_idle_wait() -> None:
    """A stopping process does not wait for the next poll."""
    stop = asyncio.Event()

    async def run_once() -> int:
        asyncio.get_running_loop().call_soon(stop.set)
        return 0

    await asyncio.wait_for(loop.run_forever(run_once, idle_s=60, stop=stop, name="x"), 10)


async def test_exceptions_back_off_twice_as_long_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """0.1 s doubled up to 10 s; a success starts over; the loop never dies of one."""
    monkeypatch.setattr(loop, "BACKOFF_FIRST_S", 0.0001)
    monkeypatch.setattr(loop, "BACKOFF_MAX_S", 0.0004)
    stop = asyncio.Event()
    pauses: list[float] = []
    monkeypatch.setattr(
        loop._log, "exception", lambda _, **values: pauses.append(values["pause_s"])
    )
    runs = 0

    async def run_once() -> int:
        nonlocal runs
        runs += 1
        if runs == 6:
            return 1
        if runs == 8:
            stop.set()
            return 0
        raise ValueError(runs)

    await asyncio.wait_for(
        loop.run_forever(run_once, idle_s=60, stop=stop, name="x", jitter=lambda: 1.0), 10
    )
    assert pauses == [0.0001, 0.0002, 0.0004, 0.0004, 0.0004, 0.0001]


async def test_what_was_canceled_elsewhere_does_not_end_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Waiting for somebody else's canceled work fails; only canceling the loop ends it."""
    monkeypatch.setattr(loop, "BACKOFF_FIRST_S", 0.0001)
    stop = asyncio.Event()
    runs = 0

    async def run_once() -> int:
        nonlocal runs
        runs += 1
        if runs == 3:
            stop.set()
            return 0
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        await other
        raise AssertionError

    await asyncio.wait_for(loop.run_forever(run_once, idle_s=60, stop=stop, name="x"), 10)
    assert runs == 3


async def test_a_cancellation_goes_through() -> None:
    """Cancelling the loop cancels the run."""

    async def run_once() -> int:
        await asyncio.Event().wait()
        return 0

    running = asyncio.ensure_future(
        loop.run_forever(run_once, idle_s=1, stop=asyncio.Event(), name="x")
    )
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
