"""Configurations are judged in a process apart, and each only once."""

import pytest

from payment_service.usecases.bindings import schema_check

SCHEMA = '{"type": "object", "required": ["region"]}'
GOOD, BAD = '{"region": "eu"}', "{}"


async def test_what_was_judged_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """By schema and text, in the order asked; what came to no end is tried again."""
    judge = schema_check.Judge()
    missing = schema_check.Finding(summary="is missing", json_pointer="/region")
    assert await judge.check(SCHEMA, [BAD, GOOD, BAD]) == [[missing], [], [missing]]
    monkeypatch.setattr(schema_check, "TIMEOUT_S", 0.0)
    assert await judge.check(SCHEMA, [GOOD, BAD]) == [[], [missing]]
    for schema, config in ((SCHEMA, "[]"), ("{}", GOOD)):
        with pytest.raises(schema_check.CheckFailed, match="takes longer"):
            await judge.check(schema, [BAD, config])
    monkeypatch.undo()
    assert await judge.check("{}", [GOOD]) == [[]]
