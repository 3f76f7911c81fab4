"""Which idempotency keys are forgotten, and when."""

import dataclasses
from collections.abc import Callable
from typing import Any

import psycopg
import pydantic
import pytest

from deploy import stack
from payment_service import composition, settings
from payment_service.db import idempotency
from payment_service.usecases import forgetting
from servicekit import storage
from tests import fake_clock
from tests.integration.payment_service import inside, rig

DAY_S = 86_400.0
KEEP_S = 30 * DAY_S
ROWS = 60_000
_FILL = (
    f"""insert into refunds (tenant_id, id, payment_id, operation_id, amount_minor, currency, state,
          reason, note, failure, created_us, updated_us)
        select 't' || n % 20, 'ref_' || md5(n::text), 'p', 'o', 1, 'EUR', 2, 1, '', '', 0, 0
        from generate_series(1, {ROWS}) n""",
    """insert into idempotency_keys (tenant_id, rpc, key, fingerprint, resource_id, operation_id,
         lease_until_us, created_us)
       select tenant_id, 'r', id, ''::bytea, id, '', 0, 0 from refunds""",
    "analyze",
    # Of solid-state disks.
    "set random_page_cost = 1.1",
)
_PAGE = """select tenant_id, rpc, key from idempotency_keys order by tenant_id, rpc, key
           limit 1 offset %s"""


async def test_old_keys_of_what_is_over_are_forgotten_and_no_others(
    database_url: str, bank: stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is young, or may still change, keeps its key; one of several processes walks."""
    monkeypatch.setattr(forgetting, "CHUNK", 2)
    async with inside.running(
        database_url,
        bank.target(stack.MOCK),
        resolver_doubt_first_s=3600,
        resolver_longest_s=3600,
        idempotency_keep_days=0,
    ) as service:
        await inside.connected(service)
        caller, ctx = service.caller, service.parts.ctx
        keys = {name: rig.new_key() for name in ("paid", "held", "failed", "doubt", "young")}
        refunded, capture, canceled = rig.new_key(), rig.new_key(), rig.new_key()
        paid = await caller.create(key=keys["paid"])
        await caller.refund(paid.id, 300, key=refunded)
        held = await caller.create(manual=True, key=keys["held"])
        await caller.capture(held.id, 300, more=True, key=capture)
        assert rig.state(await caller.create("tok_decline", key=keys["failed"])) == "FAILED"
        assert rig.state(await caller.create("tok_no_answer", key=keys["doubt"])) == "IN_DOUBT"
        ended = await caller.create(manual=True, key=canceled)
        assert rig.state(await caller.cancel(ended.id, rig.new_key())) == "CANCELED"
        await ctx.db.write(_age)
        await caller.create(key=keys["young"])

        async def stored() -> set[str]:
            found = await ctx.db.read(lambda conn: conn.query("select key from idempotency_keys"))
            return {row[0] for row in found}

        one = forgetting.Forgetting(ctx, "one", KEEP_S)
        other = forgetting.Forgetting(ctx, "other", KEEP_S)
        ever = forgetting.Forgetting(ctx, "one", 0)
        before = await stored()
        await ever.run_once()
        assert await stored() == before
        await one.run_once()
        left = await stored()
        assert left == {keys["held"], capture, keys["failed"], keys["doubt"], keys["young"]}
        assert {keys["paid"], refunded, canceled} <= before - left
        # What may still be confirmed, captured or found out is not made a second time.
        assert (await caller.create(manual=True, key=keys["held"])).id == held.id
        await ctx.db.write(_age)
        await other.run_once()
        assert await stored() == left
        await one.run_once()
        assert await stored() == left, "the next walk is not due"


async def test_a_clock_that_is_set_ahead_forgets_no_key(
    database_url: str, bank: stack.Stack
) -> None:
    """A payment is not made a second time because the machine took today for next year."""
    async with inside.running(
        database_url, bank.target(stack.MOCK), idempotency_keep_days=0
    ) as service:
        await inside.connected(service)
        key = rig.new_key()
        paid = await service.caller.create(key=key)
        time = fake_clock.FakeClock(round(paid.create_time.ToMicroseconds()))
        ctx = dataclasses.replace(service.parts.ctx, clock=time)
        await forgetting.Forgetting(ctx, "one", KEEP_S).run_once()
        time.step(400 * DAY_S)
        ahead = forgetting.Forgetting(ctx, "one", KEEP_S)
        for _ in range(3):
            time.advance(2 * forgetting.WALK_EVERY_S)
            await ahead.run_once()
        assert (await service.caller.create(key=key)).id == paid.id
        time.advance(20 * DAY_S)
        await ahead.run_once()
        assert (await service.caller.create(key=key)).id != paid.id, "it is over in the end"


def test_a_step_reads_what_its_keys_are_of(new_postgres_database: Callable[[], str]) -> None:
    """However much there is: who estimates a page of keys at half the table reads all the rest."""
    url = new_postgres_database()
    storage.migrate(url, composition.MIGRATIONS)
    with psycopg.connect(url, autocommit=True) as connection:
        for text in _FILL:
            connection.execute(text)
        after, upto = (
            connection.execute(_PAGE, (ROWS // 2 + place,)).fetchall()[0]
            for place in (0, idempotency.PAGE_MAX)
        )
        native = idempotency._PRUNE.postgresql
        names = ("tenant_id", "rpc", "key")
        of_both = (*names, *(f"last_{name}" for name in names))
        values = {"before_us": 1, **dict(zip(of_both, (*after, *upto), strict=True))}
        cursor = psycopg.RawCursor(connection)
        cursor.execute(
            b"explain (analyze, format json) " + native.text,
            [values[name] for name in native.names],
        )
        ((told,),) = cursor.fetchall()
        ((left,),) = connection.execute("select count(*) from idempotency_keys")
    assert left == ROWS - idempotency.PAGE_MAX
    assert _rows_read(told[0]["Plan"]) < ROWS / 2


def _rows_read(node: dict[str, Any]) -> float:
    """Returns how many rows a plan and those below it have looked at."""
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return float(own * node["Actual Loops"] + sum(map(_rows_read, node.get("Plans", ()))))


def _age(conn: storage.Connection) -> None:
    """Makes every key one day older than keys are kept."""
    for_us = round((KEEP_S + DAY_S) * 1_000_000)
    conn.query(f"update idempotency_keys set lease_until_us = lease_until_us - {for_us}")


@pytest.mark.parametrize(("days", "fits"), [(0, True), (30, True), (29.9, False), (-1, False)])
def test_keys_are_kept_for_a_month_at_least(days: float, fits: bool) -> None:
    """Less than callers are promised can't be set up; 0 keeps them for ever."""
    if fits:
        assert settings.Settings(idempotency_keep_days=days).idempotency_keep_days == days
        return
    with pytest.raises(pydantic.ValidationError, match="idempotency_keep_days"):
        settings.Settings(idempotency_keep_days=days)
