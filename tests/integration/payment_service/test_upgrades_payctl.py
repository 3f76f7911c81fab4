"""`payctl plugins upgrade` as an operator types it: a trial, a promotion and the way back."""

import pathlib

from tests.integration.payment_service import operator, registrant, rig, sidecars
from tests.integration.payment_service.test_upgrades import LEASE_S, NEW, OLD, Rehearsal

Sidecar = sidecars.Sidecar
WHY = ("--reason", operator.WHY)


async def test_a_version_is_tried_promoted_and_left_by_commands(tmp_path: pathlib.Path) -> None:
    """A dry run changes nothing; each step is shown, and new operations go where it says."""
    async with (
        Sidecar("other", OLD) as old,
        Sidecar("other", NEW) as new,
        registrant.plugged(f"sqlite:///{tmp_path}/payments.db", plugin_lease_s=LEASE_S) as (
            admin,
            plug,
        ),
    ):
        session_id = await registrant.enable(admin, plug, old)
        await Rehearsal(admin, plug, old, session_id).deploy(new)
        shell = admin.terminal()
        _, err = await shell("upgrade", "other", "9.9.9", *WHY, code=1)
        assert "9.9.9" in err
        assert "next: " in err
        dry = await shell.json("upgrade", "other", NEW, "--dry-run", *WHY)
        assert not dry["plugin"].get("canary_version")
        tried = await shell.json("upgrade", "other", NEW, "--percent", "100", *WHY)
        assert tried["plugin"]["canary_version"] == NEW
        assert rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"
        assert (len(old.charged), len(new.charged)) == (0, 1)
        out, _ = await shell("upgrade", "other", "--promote", *WHY)
        assert NEW in out
        _, err = await shell("upgrade", "other", OLD, "--rollback", *WHY, code=1)
        assert f"payctl plugins upgrade other {NEW} --rollback" in err
        back = await shell.json("upgrade", "other", NEW, "--rollback", *WHY)
        assert back["current_version"] == OLD
        await admin.caller.create(provider="other")
        assert (len(old.charged), len(new.charged)) == (1, 1)
        out, _ = await shell("history", "other")
        assert WHY[1] in out
