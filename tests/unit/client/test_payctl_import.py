"""What payctl tells of an import that takes several calls."""

import json
from pathlib import Path
from typing import Any

import pytest
from payhub.admin.v1 import binding_admin_service_pb2 as pb

from payhub_client import bindings, errors
from tests.unit.client import shell


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A command that imports 60 bindings, for which two calls are needed."""
    file = tmp_path / "bindings.json"
    exported = [{"tenant_id": f"t-{number}", "plugin_id": "mock"} for number in range(60)]
    file.write_text(json.dumps({"format": 1, "bindings": exported}), encoding="ascii")
    return ["bindings", "import", str(file), "--reason", "r"]


def answer(part: Any, *, dry_run: bool, stored: bool) -> pb.ImportBindingsResponse:
    """What core answers: all of it stored, or all refused."""
    outcome = pb.ImportResult.OUTCOME_CREATED if stored else pb.ImportResult.OUTCOME_REFUSED
    made = [pb.ImportResult(tenant_id=each.tenant_id, outcome=outcome) for each in part]
    return pb.ImportBindingsResponse(results=made, applied=stored and not dry_run)


def test_what_an_import_has_stored_is_told_though_its_rest_is_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A binding that somebody else makes between check and import stops it half way."""

    async def refuse_the_rest(_: object, exported: Any, **more: Any) -> pb.ImportBindingsResponse:
        dry_run = bool(more["dry_run"])
        return answer(exported, dry_run=dry_run, stored=dry_run or len(exported) == 50)

    monkeypatch.setattr(bindings.Bindings, "import_", refuse_the_rest)
    told = shell.run(arguments)
    assert told.exit_code == 1
    assert "the first 50 were stored, the other 10 were not" in told.stderr
    shown = json.loads(shell.run([*arguments, "--json"]).stdout)
    assert (shown["applied"], shown["stored"], len(shown["results"])) == (False, 50, 60)


def test_what_an_import_has_stored_is_told_though_its_rest_fails(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error half way does not hide that the first part is in force."""

    async def fail_then(_: object, exported: Any, **more: Any) -> pb.ImportBindingsResponse:
        if not more["dry_run"] and len(exported) != 50:
            text = "gone"
            raise errors.Unavailable(text)
        return answer(exported, dry_run=bool(more["dry_run"]), stored=True)

    monkeypatch.setattr(bindings.Bindings, "import_", fail_then)
    told = shell.run(arguments)
    assert told.exit_code == 1
    assert "gone" in told.stderr
    assert "the first 50 were stored, the other 10 were not" in told.stderr
