"""What a plugin's JSON Schema finds: a pointer, a rule, and never a value."""

import json
from typing import Any

import pytest

from payment_service.db import versions
from payment_service.usecases.bindings import gates, schema_check, secrets

CANARY = "sk_live_canary"
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["region"],
    "properties": {
        "region": {"enum": ["eu", "us"]},
        "retries": {"type": "integer", "minimum": 0, "maximum": 5},
        "url": {"type": "string", "pattern": "^https://", "maxLength": 20},
        "a/b": {"type": "object", "properties": {"c~d": {"type": "boolean"}}},
        "latency": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]},
    },
}


def found(config: Any, schema: Any = SCHEMA) -> dict[str, str]:
    """Returns what is found, by pointer."""
    text = config if isinstance(config, str) else json.dumps(config)
    return {
        each.json_pointer: each.summary for each in schema_check.judge(json.dumps(schema), text)
    }


def test_a_valid_configuration_has_no_findings() -> None:
    """Whatever of it is optional."""
    assert found({"region": "eu"}) == {}
    assert found({"region": "us", "retries": 5, "a/b": {"c~d": True}, "latency": None}) == {}


def test_every_problem_is_found_at_once_where_it_is() -> None:
    """RFC 6901 pointers, with what the rule wants and nothing of what was there."""
    told = found(
        {
            "retries": CANARY,
            "url": CANARY * 3,
            "a/b": {"c~d": CANARY},
            "latency": CANARY,
            "api_key": CANARY,
        }
    )
    assert told["/region"] == "is missing"
    assert told["/retries"] == "must be of type integer"
    assert told["/a~1b/c~0d"] == "must be of type boolean"
    assert told["/latency"] == "must be of type number; or must be of type null"
    assert told["/api_key"].startswith("is not a member the plugin knows; known are: a/b, ")
    assert "/url" in told
    assert CANARY not in json.dumps(told)


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('"x"', "must be a JSON object"),
        ('{"region": NaN}', "NaN is not JSON"),
        ('{"region": "eu", "region": "us"}', "two members of one name"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_json_object_is_told_as_such(text: str, summary: str) -> None:
    """With the whole as its place."""
    assert summary in found(text)[""]


def test_a_configuration_is_nested_so_deep_and_no_deeper() -> None:
    """The limit is Payhub's, whatever the parser of this Python takes."""
    deepest = '{"a":' * 99 + "[]" + "}" * 99
    assert isinstance(schema_check.read_object(deepest), dict)
    refused = schema_check.read_object(f'{{"a":{deepest}}}')
    assert refused == schema_check.Finding(summary="is nested too deep; 100 levels are the most")


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": 7}, "not a JSON Schema"),
        ("no object", "not a JSON Schema"),
        ({"$ref": "#/nowhere"}, "refers to what it does not contain"),
        ({"$ref": "https://evil.test/schema.json"}, "refers to what it does not contain"),
        ({"$ref": "#"}, "never ends"),
    ],
)
def test_a_schema_that_cannot_be_used_is_its_plugins_fault(schema: Any, problem: str) -> None:
    """Nothing is fetched for it, and it ends."""
    with pytest.raises(schema_check.CheckFailed, match=problem):
        found({"region": "eu"}, schema)


def test_slots_are_judged_by_name_need_and_size() -> None:
    """Unknown is an error where it was just given; all together take at most 512 KiB."""
    schema = versions.Schema(
        digest="d",
        json_schema="{}",
        slots=(
            versions.Slot(slot="api_key", description="From the portal.", required=True),
            versions.Slot(slot="hook", description="", required=False),
        ),
    )

    def secret(slot: str, size: int = 8) -> secrets.Secret:
        return secrets.Secret(slot=slot, version=1, value=b"x" * size)

    def found(*held: secrets.Secret, given: tuple[str, ...] = ()) -> list[tuple[str, bool]]:
        return [(each.field, each.is_error) for each in gates.by_slots(schema, held, given)]

    assert found(secret("api_key")) == []
    assert found(secret("hook")) == [("secrets/api_key", True)]
    assert found(secret("api_key"), secret("pin")) == [("secrets/pin", False)]
    assert found(secret("api_key"), secret("pin"), given=("pin",)) == [("secrets/pin", True)]
    large = [secret("api_key", 60_000)] + [secret("hook", 65_536)] * 8
    assert found(*large) == [("secrets/hook", True)]
    assert gates.only_known(schema, (secret("pin"), secret("hook"))) == (secret("hook"),)
