"""Answers that all who ask at a time share."""

import asyncio

import pytest

from servicekit import joint


class Maker:
    """Counts answers, and makes each when it is let."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self) -> int:
        """Returns which answer this is."""
        self.begun += 1
        mine = self.begun
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return mine


async def _a_few_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_while_one_is_made_shares_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An answer is never older than its question, and however many ask, two are made."""
    monkeypatch.setattr(joint, "REST_MAX_S", 0.0)
    maker = Maker()
    answers = joint.Joint(maker)
    first = asyncio.create_task(answers.get())
    await _a_few_turns()
    assert maker.begun == 1
    others = [asyncio.create_task(answers.get()) for _ in range(100)]
    await _a_few_turns()
    assert maker.begun == 1, "one at a time"
    maker.go.set()
    assert await first == 1
    assert set(await asyncio.gather(*others)) == {2}


async def test_an_answer_is_followed_by_a_rest_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks at once again waits as many times longer as was said, and no more than most."""
    monkeypatch.setattr(joint, "RESTS", 1_000_000)
    monkeypatch.setattr(joint, "REST_MAX_S", 0.005)
    maker = Maker()
    maker.go.set()
    answers = joint.Joint(maker)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    assert [await answers.get() for _ in range(3)] == [1, 2, 3]
    assert loop.time() - began_s >= 2 * 0.005


async def test_one_that_leaves_or_a_failure_is_nobody_elses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others get the answer that a caller no longer waits for; a failure is told, and passes."""
    monkeypatch.setattr(joint, "REST_MAX_S", 0.0)
    maker = Maker()
    answers = joint.Joint(maker)
    leaving, staying = (asyncio.create_task(answers.get()) for _ in range(2))
    await _a_few_turns()
    leaving.cancel()
    maker.go.set()
    assert await staying == 1
    maker.failure = RuntimeError("no")
    with pytest.raises(RuntimeError, match="no"):
        await answers.get()
    maker.failure = None
    assert await answers.get() == 3
