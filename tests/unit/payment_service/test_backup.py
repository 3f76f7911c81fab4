"""What is told of backups of bindings."""

import pathlib
import types
from typing import Any

from payment_service.usecases.bindings import backup
from servicekit import metrics
from tests import fake_clock
from tests.unit.payment_service import build


async def test_the_newest_backup_is_told_whoever_wrote_it(tmp_path: pathlib.Path) -> None:
    """Also by a process that wrote none, so that its age grows while none is written."""
    (tmp_path / "bindings-20230101T000000Z.json").write_text("{}")
    (tmp_path / "bindings-20230102T000000Z.json").write_text("{}")

    async def leased_by_another(_: object) -> bool:
        return False

    database = types.SimpleNamespace(write=leased_by_another)
    ctx: Any = types.SimpleNamespace(clock=fake_clock.FakeClock(build.NOW_US), db=database)
    exports: Any = types.SimpleNamespace()
    registry = metrics.Metrics().registry
    plan = backup.Plan(folder=tmp_path, every_s=60.0, keep=3, passphrase=None)
    one = backup.Backup(ctx, exports, plan, "here", registry)
    await one.run_once()
    told = registry.get_sample_value("payhub_binding_backup_timestamp_seconds")
    assert told == 1_672_617_600
