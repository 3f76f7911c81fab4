"""A log that lost what it was given, and rows that nobody needs any more."""

import pytest

from payment_service.db import outbox
from payment_service.relay import options
from servicekit import storage
from tests import fake_clock
from tests.integration.relay import fake_log, rig

_ADD_CUSTOMER = storage.Statement(
    "insert into customers (tenant_id, id, profile, provider, binding_id, provider_customer_id, "
    "sync_state, version, created_us, updated_us) "
    "values ('default', 'active', '', '', '', '', 0, 2, 0, :now_us)"
)
_ADD_MIRROR = storage.Statement(
    "insert into mirrors (tenant_id, kind, id, state, customer_id, user_id, parent_id, body, "
    "version, revision, created_us, updated_us) "
    "values ('default', 4, 'mirrored', 1, '', '', '', '{}', 2, 1, 0, :now_us)"
)
_ADD_BINDING = storage.Statement(
    "insert into bindings (binding_id, tenant_id, plugin_id, generation, config_json, "
    "options_json, secrets, schema_digest, enabled, revision, created_us, updated_us, deleted_us) "
    "values ('bound', 'default', 'plugged', 1, '', '', :none, '', 1, 2, 0, :now_us, 0)"
)
_ADD_PLUGIN = storage.Statement(
    "insert into plugins (plugin_id, allowed, kind, version_specifier, endpoint_pattern, "
    "permissions, priority, dependencies, static_endpoint, requires_report, state, "
    "failed_transition, failure, revision, current_version, previous_version, canary_version, "
    "canary_percent, manifest, conditions, created_us, updated_us) values ('plugged', 1, 1, '', "
    "'', '', 0, '', '', 0, 1, '', '', 2, '', '', '', 0, '', '', 0, :now_us)"
)
_ADD_KEY = storage.Statement(
    "insert into api_keys (id, tenant_id, scopes, name, sha256, created_us, revoked_us, version) "
    "values ('revoked', 'default', '', '', :none, 0, :now_us, 2)"
)


_ADD_POLICY = storage.Statement(
    "insert into retry_policies (tenant_id, delays, updated_us, version) "
    "values ('patient', '[]', :now_us, 2)"
)
_ADD_DEFAULT = storage.Statement(
    "insert into default_provider_versions (tenant_id, version) values ('choosing', 3)"
)
_CHANGED_AGAIN = [
    storage.Statement(f"update {table} set {count} = 3")
    for table, count in (
        ("customers", "version"),
        ("mirrors", "version"),
        ("bindings", "revision"),
        ("plugins", "revision"),
        ("retry_policies", "version"),
    )
]


async def test_a_new_log_gets_everything_again(db: storage.Database, log: fake_log.FakeLog) -> None:
    """A gateway that comes back empty ends with the full log, although nothing new happens."""
    time = fake_clock.FakeClock()
    one = rig.make(db, log.target, time=time)
    ids = await rig.fill(db, [f"pay_{n}" for n in range(900)])
    assert await one.run_once() == 2700
    log.rebuild()
    assert await one.run_once() == 0
    time.advance(5)
    assert await one.run_once() == 2700
    assert log.ids == ids
    await rig.assert_in_log(db, log)
    await one.close()


async def test_an_answer_from_a_new_log_starts_the_repair(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """A later version that an empty log refuses is not held against it: what is missing is
    published first, at once.
    """
    one = rig.make(db, log.target, time=fake_clock.FakeClock())
    old = await rig.fill(db, ["pay_1", "pay_2"])
    await one.run_once()
    log.rebuild()
    new = await rig.fill(db, ["pay_1", "pay_3"], [4]) + await rig.fill(db, ["pay_4"], [1])
    first = await one.run_once()
    assert log.ids == [new[-1]]
    assert first == 1
    # pay_3 has no versions 1 to 3: it alone is refused.
    assert await one.run_once() == 7
    assert log.ids == [new[2], *old, new[0]]
    assert list(await rig.waiting(db)) == [new[1]]
    await one.close()


@pytest.mark.parametrize("head", [0, 3])
async def test_a_log_that_went_back_gets_what_it_lost(
    db: storage.Database, log: fake_log.FakeLog, head: int
) -> None:
    """Rows marked beyond the head are published again, found by the regular look."""
    time = fake_clock.FakeClock()
    one = rig.make(db, log.target, time=time)
    ids = await rig.fill(db, ["pay_1", "pay_2"])
    await one.run_once()
    log.rewind(head)
    time.advance(5)
    assert await one.run_once() == 6 - head
    assert log.ids == ids
    await rig.assert_in_log(db, log)
    await one.close()


async def test_positions_given_twice_betray_a_log_that_went_back(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """When a new event gets a place that an old one was marked with, the old one is lost:
    it is published again, and so are all after it.
    """
    one = rig.make(db, log.target, time=fake_clock.FakeClock())
    ids = await rig.fill(db, ["pay_1", "pay_2"])
    await one.run_once()
    log.rewind(2)
    new = await rig.fill(db, ["pay_9"], [1])
    await one.run_once()
    await one.run_once()
    assert log.ids == ids[:2] + new + ids[2:]
    await rig.assert_in_log(db, log)
    await one.close()


async def test_an_answer_behind_the_marks_starts_the_repair(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """A head below what was marked shows the loss, even in an answer that appended nothing."""
    one = rig.make(db, log.target, time=fake_clock.FakeClock())
    ids = await rig.fill(db, ["pay_1"])
    await one.run_once()
    log.rewind(1)
    log.poison.update(await rig.fill(db, ["bad"], [1]))
    assert await one.run_once() == 0
    assert await one.run_once() == 2
    assert log.ids == ids
    await one.close()


async def test_a_gap_makes_the_relay_look(db: storage.Database, log: fake_log.FakeLog) -> None:
    """A refusal for missing versions heals without a pause if the log has lost them, also
    when another relay had published them.
    """
    time = fake_clock.FakeClock()
    one, other = (rig.make(db, log.target, owner="same", time=time) for _ in range(2))
    ids = await rig.fill(db, ["pay_1"], [1])
    assert await one.run_once() == 1
    ids += await rig.fill(db, ["pay_1"], [2, 3])
    assert await other.run_once() == 2
    log.rewind(1)
    ids += await rig.fill(db, ["pay_1"], [4])
    assert await one.run_once() == 3
    assert log.ids == ids
    await rig.assert_in_log(db, log)
    await one.close()
    await other.close()


async def test_old_rows_leave_unless_they_may_be_needed(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Rows older than the setting are deleted, but not those that wait, nor any of an entity
    of whatever kind that has changed since: the empty log would refuse what is young.
    """
    time = fake_clock.FakeClock(start_us=1_700_000_000_000_000 + round(options.DAY_S * 40 * 1e6))
    one = rig.make(db, log.target, time=time, keep_s=30 * options.DAY_S)
    active = ("active", "mirrored", "bound", "plugged", "revoked")
    old = [rig.event("old", 1), rig.event("old", 2), rig.event("bad", 1)]
    settings = [("retry_policy", "patient"), ("default_provider", "choosing")]
    kept = [rig.event(entity_id, 1) for entity_id in active]
    kept += [rig.event(name, 1, entity_type=kind) for kind, name in settings]
    log.poison.add(old[2].id)
    await rig.write(db, *map(rig.entry, [*old, *kept]))
    young = [rig.event(entity_id, 2) for entity_id in active]
    young += [rig.event(name, 2, entity_type=kind) for kind, name in settings]
    await rig.write(db, *(rig.entry(each, created_us=time.now_us()) for each in young))

    def change(conn: storage.Connection) -> None:
        for statement in (_ADD_CUSTOMER, _ADD_MIRROR, _ADD_PLUGIN, _ADD_POLICY):
            conn.run(statement, {"now_us": time.now_us()})
        for statement in (_ADD_BINDING, _ADD_KEY):
            conn.run(statement, {"now_us": time.now_us(), "none": b""})

    await db.write(change)
    assert await one.run_once() == 2 + len(kept) + len(young)
    time.advance(61)
    await one.run_once()
    assert set(await rig.marks(db)) == {each.id for each in [old[2], *kept, *young]}
    await one.close()


async def test_of_what_never_rests_the_newest_rows_stay(
    db: storage.Database, log: fake_log.FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entity that has changed since keeps so many events of those that are old, not all
    that it ever had: a plugin may flap, and a customer be updated, for years.
    """
    monkeypatch.setattr(outbox, "KEPT_MAX", 2)
    time = fake_clock.FakeClock(start_us=1_700_000_000_000_000 + round(options.DAY_S * 40 * 1e6))
    one = rig.make(db, log.target, time=time, keep_s=30 * options.DAY_S)
    restless = [("entity", each) for each in ("active", "mirrored", "bound", "plugged")]
    restless += [("retry_policy", "patient"), ("default_provider", "choosing")]
    told = {
        version: [rig.event(name, version, entity_type=kind) for kind, name in restless]
        for version in (1, 2, 3)
    }
    await rig.write(db, *(rig.entry(each) for each in (*told[1], *told[2], *told[3])))

    def change(conn: storage.Connection) -> None:
        for statement in (_ADD_CUSTOMER, _ADD_MIRROR, _ADD_PLUGIN, _ADD_POLICY):
            conn.run(statement, {"now_us": time.now_us()})
        conn.run(_ADD_BINDING, {"now_us": time.now_us(), "none": b""})
        conn.run(_ADD_DEFAULT)
        for statement in _CHANGED_AGAIN:
            conn.run(statement)

    await db.write(change)
    await one.run_once()
    time.advance(61)
    await one.run_once()
    assert set(await rig.marks(db)) == {each.id for each in (*told[2], *told[3])}
    await one.close()


async def test_rows_the_log_has_lost_are_not_deleted(
    db: storage.Database, log: fake_log.FakeLog
) -> None:
    """Age alone deletes nothing: a row must be in the log of now."""
    time = fake_clock.FakeClock(start_us=1_700_000_000_000_000 + round(options.DAY_S * 40 * 1e6))
    keeping = rig.make(db, log.target, time=time)
    ids = await rig.fill(db, [f"old_{n}" for n in range(500)])
    await keeping.run_once()
    await keeping.close()
    log.rebuild()
    time.advance(1)
    deleting = rig.make(db, log.target, time=time, keep_s=30 * options.DAY_S)
    assert await deleting.run_once() == 1500
    assert log.ids == ids
    time.advance(61)
    await deleting.run_once()
    assert await rig.marks(db) == {}
    await deleting.close()
