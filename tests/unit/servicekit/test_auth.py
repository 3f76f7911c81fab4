"""API keys: their form, and the cache that spares a lookup per call."""

import asyncio
import gc

import pytest

from servicekit import auth, errors
from tests import fake_clock, polling


def a_principal(key_id: str = "k") -> auth.Principal:
    """Return a principal that may read."""
    return auth.Principal(tenant_id="default", scopes=frozenset({"read"}), key_id=key_id)


class Lookup:
    """A key store that counts and can fail, wait or forget."""

    def __init__(self) -> None:
        self.calls = 0
        self.known = True
        self.down = False
        self.gate: asyncio.Event | None = None

    async def find(self, key_id: str, key_digest: bytes) -> auth.Principal | None:
        """Answer as told."""
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise errors.unavailable("the key store is down")
        return a_principal(key_id) if self.known else None


def test_a_new_key_is_found_in_a_header() -> None:
    """What new_key makes, parse_bearer reads; the scheme's case does not matter."""
    key_id, full = auth.new_key()
    for scheme in ("Bearer", "bearer"):
        metadata = (("user-agent", "x"), ("authorization", f"{scheme} {full}"))
        assert auth.parse_bearer(metadata) == (key_id, full)
    assert len(auth.digest(full)) == 32


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        (),
        (("authorization", ""),),
        (("authorization", "Basic abc"),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer phk_short_x"),),
        (("authorization", "Bearer phk_" + "a" * 16 + "_" + "b" * 44),),
        (("authorization", "Bearer phk_" + "A" * 16 + "_" + "b" * 43),),
        (("authorization", "Bearer phk_" + "a" * 16 + "_" + "b" * 42 + "\n"),),
    ],
)
def test_anything_else_is_key_invalid_and_not_repeated(
    metadata: tuple[tuple[str, str], ...] | None,
) -> None:
    """A refused credential does not come back in the error."""
    with pytest.raises(errors.RpcError) as refused:
        auth.parse_bearer(metadata)
    assert refused.value.reason == "KEY_INVALID"
    for _, value in metadata or ():
        assert not value or value not in refused.value.message


def test_a_missing_scope_is_named() -> None:
    """The caller learns which scope to ask for."""
    a_principal().require("read")
    with pytest.raises(errors.RpcError) as refused:
        a_principal().require("write")
    assert refused.value.metadata == {"scope": "write"}


async def test_a_known_key_is_looked_up_once_per_ttl() -> None:
    """Within 30 s the cache answers; after that the store is asked again."""
    lookup, time = Lookup(), fake_clock.FakeClock()
    cache = auth.KeyCache(lookup.find, clock=time)
    for _ in range(3):
        assert await cache.get("k", "full") == a_principal()
    assert lookup.calls == 1
    time.advance(30)
    lookup.known = False
    assert await cache.get("k", "full") is None
    assert lookup.calls == 2


async def test_an_unknown_key_is_remembered_briefly() -> None:
    """A bad key costs no lookup per call, and works 2 s after it was created."""
    lookup, time = Lookup(), fake_clock.FakeClock()
    lookup.known = False
    cache = auth.KeyCache(lookup.find, clock=time)
    assert await cache.get("k", "full") is None
    lookup.known = True
    assert await cache.get("k", "full") is None
    assert lookup.calls == 1
    time.advance(2)
    assert await cache.get("k", "full") == a_principal()


async def test_a_flood_of_invented_keys_does_not_push_out_real_ones() -> None:
    """Unknown keys have a room of their own, and it is bounded."""
    lookup = Lookup()
    cache = auth.KeyCache(lookup.find, max_size=10, clock=fake_clock.FakeClock())
    await cache.get("k", "real")
    lookup.known = False
    for number in range(50):
        await cache.get("k", f"invented {number}")
    assert lookup.calls == 51
    await cache.get("k", "real")
    assert lookup.calls == 51
    assert len(cache._unknown) == 10


async def test_who_is_known_does_not_wait_behind_invented_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So many new keys are looked up at a time, so many wait, others are refused; a key that was
    good is looked up again beside them.
    """
    monkeypatch.setattr(auth, "NEW_MAX", 2)
    monkeypatch.setattr(auth, "NEW_WAITING_MAX", 1)
    lookup, time = Lookup(), fake_clock.FakeClock()
    cache = auth.KeyCache(lookup.find, clock=time)
    await cache.get("k", "real")
    time.advance(30)
    lookup.gate, lookup.known = asyncio.Event(), False
    flood = [asyncio.create_task(cache.get("k", f"invented {number}")) for number in range(3)]
    await polling.until(lambda: cache._new.waiting)
    with pytest.raises(errors.RpcError) as refused:
        await cache.get("k", "one more")
    assert (refused.value.reason, refused.value.retry) == (errors.OVERLOADED, "same_key")
    assert lookup.calls == 3
    gate, lookup.gate, lookup.known = lookup.gate, None, True
    assert await cache.get("k", "real") == a_principal()
    lookup.known = False
    gate.set()
    assert await asyncio.gather(*flood) == [None] * 3
    lookup.known = True
    assert await cache.get("k", "one more") == a_principal()


async def test_the_cache_is_bounded() -> None:
    """The oldest entry makes room."""
    lookup = Lookup()
    cache = auth.KeyCache(lookup.find, max_size=2, clock=fake_clock.FakeClock())
    for full in ("a", "b", "c"):
        await cache.get("k", full)
    await cache.get("k", "c")
    assert lookup.calls == 3
    await cache.get("k", "a")
    assert lookup.calls == 4


async def test_simultaneous_calls_share_one_lookup_even_if_the_first_leaves() -> None:
    """Single flight: a cancelled caller does not take the others' answer along."""
    lookup = Lookup()
    lookup.gate = asyncio.Event()
    cache = auth.KeyCache(lookup.find, clock=fake_clock.FakeClock())
    callers = [asyncio.ensure_future(cache.get("k", "full")) for _ in range(3)]
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.sleep(0)
    lookup.gate.set()
    assert await asyncio.gather(*callers[1:]) == [a_principal()] * 2
    assert callers[0].cancelled()
    assert lookup.calls == 1


async def test_an_outage_of_the_key_store_is_no_answer() -> None:
    """Once its time is over, an answer is not given again because there is no newer one."""
    lookup, time = Lookup(), fake_clock.FakeClock()
    cache = auth.KeyCache(lookup.find, clock=time)
    await cache.get("k", "full")
    time.advance(31)
    lookup.down = True
    with pytest.raises(errors.RpcError):
        await cache.get("k", "full")
    with pytest.raises(errors.RpcError):
        await cache.get("k", "never seen")
    lookup.down = False
    assert await cache.get("k", "full") == a_principal()


async def test_an_outage_that_nobody_waited_for_is_no_error_in_the_log() -> None:
    """A caller that left before the key store failed leaves nothing that Python complains of."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    lookup = Lookup()
    lookup.gate, lookup.down = asyncio.Event(), True
    cache = auth.KeyCache(lookup.find)
    key_id, full = auth.new_key()
    caller = asyncio.ensure_future(cache.get(key_id, full))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    (running,) = cache._running.values()
    lookup.gate.set()
    await asyncio.wait([running.task])
    del caller, running
    gc.collect()
    assert told == []


async def test_a_forgotten_key_is_asked_for_again() -> None:
    """A key revoked in this process stops at once."""
    lookup = Lookup()
    cache = auth.KeyCache(lookup.find, clock=fake_clock.FakeClock())
    await cache.get("k", "full")
    lookup.known = False
    cache.forget("other")
    assert await cache.get("k", "full") is not None
    cache.forget("k")
    assert await cache.get("k", "full") is None


async def test_what_was_read_before_a_key_was_revoked_is_not_kept() -> None:
    """A lookup under way may have seen the key as it was; whoever comes later asks again."""
    lookup = Lookup()
    lookup.gate = asyncio.Event()
    cache = auth.KeyCache(lookup.find, clock=fake_clock.FakeClock())
    early = asyncio.create_task(cache.get("k", "full"))
    while not lookup.calls:  # noqa: ASYNC110
        await asyncio.sleep(0)
    cache.forget("k")
    gate, lookup.gate = lookup.gate, None
    lookup.known = False
    async with asyncio.timeout(10):
        assert await cache.get("k", "full") is None
    lookup.known = True
    gate.set()
    assert await early == a_principal()
    assert await cache.get("k", "full") is None
