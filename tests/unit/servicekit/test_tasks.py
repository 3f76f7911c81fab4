"""Shielded work goes on when its caller is gone, and a drain waits for it."""

import asyncio

import pytest

from servicekit import errors, tasks


async def test_the_result_and_the_exception_come_back() -> None:
    """With nobody cancelled, shielding is invisible."""

    async def answer() -> int:
        return 7

    async def fail() -> int:
        raise ValueError("no")

    tracker = tasks.Tracker()
    assert await tracker.shielded(answer()) == 7
    with pytest.raises(ValueError, match="no"):
        await tracker.shielded(fail())
    assert await tracker.drain(0) == 0


async def test_a_cancelled_caller_does_not_stop_the_work() -> None:
    """The client's deadline ends the wait, not the charge."""
    done: list[str] = []
    gate = asyncio.Event()

    async def charge() -> None:
        await gate.wait()
        done.append("charged")

    tracker = tasks.Tracker()
    caller = asyncio.ensure_future(tracker.shielded(charge()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert tracker.active == 1
    gate.set()
    assert await tracker.drain(10) == 0
    assert done == ["charged"]


async def abandoned(failure: Exception, tracker: tasks.Tracker) -> None:
    """Work whose caller leaves, and that then ends with *failure*."""
    gate = asyncio.Event()

    async def fail() -> None:
        await gate.wait()
        raise failure

    caller = asyncio.ensure_future(tracker.shielded(fail()))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    gate.set()
    await tracker.drain(10)
    await asyncio.sleep(0)


async def test_a_failure_after_the_caller_left_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody awaits the task any more, so the log is where it shows."""
    seen: list[BaseException] = []
    monkeypatch.setattr(tasks._log, "error", lambda _, exc_info: seen.append(exc_info))
    await abandoned(ValueError("late"), tasks.Tracker())
    await abandoned(errors.internal("req_1"), tasks.Tracker())
    assert [type(failure) for failure in seen] == [ValueError, errors.RpcError]


async def test_what_its_caller_would_have_been_told_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A database that is away while callers lose patience is a warning for each, no traceback."""
    seen: list[str] = []
    monkeypatch.setattr(tasks._log, "warning", lambda _, problem: seen.append(problem))
    monkeypatch.setattr(tasks._log, "error", lambda *_, **__: seen.append("a fault"))

    def translate(failure: Exception) -> errors.RpcError | None:
        return errors.unavailable("away") if isinstance(failure, ConnectionError) else None

    tracker = tasks.Tracker(translate=translate)
    await abandoned(ConnectionError("the server stands still"), tracker)
    await abandoned(errors.not_found("payment", "pay_1"), tracker)
    await abandoned(ValueError("late"), tracker)
    assert seen == ["the server stands still", "no payment pay_1", "a fault"]


async def test_a_drain_gives_up_in_time_and_says_how_many_are_left() -> None:
    """A hanging task does not hang the process."""
    gate = asyncio.Event()
    tracker = tasks.Tracker()
    caller = asyncio.ensure_future(tracker.shielded(gate.wait()))
    await asyncio.sleep(0)
    assert await tracker.drain(0.01) == 1
    gate.set()
    await caller


async def test_a_drain_waits_for_work_that_work_started() -> None:
    """A task that starts another one is followed."""
    tracker = tasks.Tracker()
    done: list[int] = []

    async def inner() -> None:
        await asyncio.sleep(0)
        done.append(2)

    second: list[asyncio.Future[None]] = []

    async def outer() -> None:
        await asyncio.sleep(0)
        done.append(1)
        second.append(asyncio.ensure_future(tracker.shielded(inner())))
        await asyncio.sleep(0)

    first = asyncio.ensure_future(tracker.shielded(outer()))
    await asyncio.sleep(0)
    assert await tracker.drain(10) == 0
    assert done == [1, 2]
    await asyncio.gather(first, *second)


async def test_at_the_limit_work_is_refused_before_it_starts() -> None:
    """OVERLOADED means that nothing happened."""
    gate = asyncio.Event()
    started: list[int] = []

    async def work() -> None:
        started.append(1)
        await gate.wait()

    tracker = tasks.Tracker(limit=1)
    caller = asyncio.ensure_future(tracker.shielded(work()))
    while not started:  # noqa: ASYNC110
        await asyncio.sleep(0)
    with pytest.raises(errors.RpcError) as refused:
        await tracker.shielded(work())
    assert (refused.value.reason, len(started)) == ("OVERLOADED", 1)
    gate.set()
    await caller
