"""`payctl plugins` as an operator types it, against a real service and a real plugin."""

import asyncio
import json
import pathlib

from typer import testing

from payctl import commands
from tests import polling
from tests.integration.payment_service import operator, sidecars

Sidecar = sidecars.Sidecar
WHY = ("--reason", operator.WHY)


async def test_a_plugin_goes_its_way_by_commands(tmp_path: pathlib.Path) -> None:
    """Every command with a reason, tables for people and JSON for programs."""
    url = f"sqlite:///{tmp_path}/own.db"
    async with Sidecar("other") as other, operator.operating(url) as admin:
        shell = admin.terminal()
        out, _ = await shell(
            *("allow", "other", "--new", "--endpoint", other.target, "--versions", "<2"),
            *("--permission", "events:read:payment.*", "--needs", "mock>=1", "--needs", "tax?"),
            *WHY,
        )
        assert "DISCOVERED" in out or "REGISTERED" in out
        assert "mock>=1, tax (optional)" in out
        await admin.becomes("mock", "ENABLED")
        await admin.becomes("other", "REGISTERED")

        async def is_well() -> bool:
            # A change of its own, which a command that was begun before it would miss.
            return any("AVAILABLE" in each.reason for each in await admin.history("other"))

        await polling.until(is_well)
        changed = await shell.json("allow", "other", "--requires-report", *WHY)
        assert changed["allowance"]["version_specifier"] == "<2", "what is not named stays"
        assert changed["allowance"]["requires_report"]
        await admin.bind("other")
        await shell("initialize", "other", *WHY)
        _, err = await shell("enable", "other", *WHY, code=1)
        assert "no passing conformance report" in err
        assert "next: " in err
        report = tmp_path / "report.json"
        identity = other.handshake.identity
        report.write_text(
            json.dumps(
                {
                    "format": "payhub.conformance/1",
                    "passed": True,
                    "partial": False,
                    "plugin_id": "other",
                    "plugin_version": identity.plugin_version,
                    "schema_digest": other.handshake.schema_digest,
                }
            )
        )
        failed = tmp_path / "failed.json"
        failed.write_text(report.read_text().replace('"passed": true', '"passed": false'))
        out, _ = await shell("report", "other", str(failed), *WHY, code=1)
        assert "NO" in out
        assert (await shell.json("report", "other", str(report), *WHY))["passed"]
        out, _ = await shell("enable", "other", *WHY)
        assert "ENABLED" in out
        listed, (shown, _) = await asyncio.gather(
            shell.json("list", "--state", "enabled"), shell("show", "other")
        )
        assert [each["id"] for each in listed["plugins"]] == ["mock", "other"]
        assert "1.0.0" in shown
        assert "passed" in shown
        assert "manual_capture" in shown

        _, (_, err) = await asyncio.gather(
            shell("kill", "other", "--operation", "refund", "--tenant", "acme", *WHY),
            shell("unkill", "other", *WHY, code=1),
        )
        assert "no such switch" in err
        assert "perhaps by this command, if an answer was lost" in err
        out, _ = await shell("kills")
        assert "refund" in out
        assert "acme" in out
        await shell("unkill", "other", "--operation", "refund", "--tenant", "acme", *WHY)
        await shell("quarantine", "other", "1.0.0", *WHY)
        _, (_, err) = await asyncio.gather(
            shell("health", "other", code=1), shell("disable", "mock", *WHY, code=1)
        )
        assert "mock > other" in err
        await shell("release", "other", "1.0.0", *WHY)
        document = await shell.json("disable", "mock", "--cascade", *WHY)
        assert document["changed_plugin_ids"] == ["other", "mock"]
        await shell("stop", "other", "--grace", "1", *WHY)
        await shell("uninstall", "other", "--yes", *WHY)
        out, _ = await shell("history", "other")
        for text in ("plugin.enabled", "plugin.uninstalled", WHY[1], "key:", "/state"):
            assert text in out


def test_what_is_wrong_is_said_before_anything_is_asked(tmp_path: pathlib.Path) -> None:
    """A missing reason, an unknown state or operation, a report that is none: usage, code 2."""
    nothing = tmp_path / "nothing.json"
    nothing.write_text("[]")
    wrong: tuple[tuple[str, ...], ...] = (
        ("enable", "mock"),
        ("list", "--state", "asleep"),
        ("kill", "mock", "--operation", "everything", *WHY),
        ("report", "mock", str(nothing), *WHY),
        ("report", "mock", str(tmp_path / "absent"), *WHY),
        ("upgrade", "mock", *WHY),
        ("upgrade", "mock", "2.0", "--promote", *WHY),
        ("allow", "mock", "--needs", ">=2", *WHY),
    )
    for arguments in wrong:
        result = testing.CliRunner().invoke(commands.app, ["plugins", *arguments])
        assert result.exit_code == 2, (arguments, result.output)
