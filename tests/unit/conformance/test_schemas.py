"""Which configuration schemas count as closed, however they are written."""

import json
import types
from typing import Any

import pytest

from provider_sdk.conformance import checks, checks_config

CLOSED: dict[str, dict[str, Any]] = {
    "conditions beside closed members": {
        "type": "object",
        "properties": {"mode": {"enum": ["test", "live"]}, "region": {"type": "string"}},
        "additionalProperties": False,
        "if": {"properties": {"mode": {"const": "live"}}, "required": ["mode"]},
        "then": {"properties": {"region": {"minLength": 2}}, "required": ["region"]},
        "dependentSchemas": {"region": {"properties": {"mode": {"const": "live"}}}},
    },
    "conditions on what is inside of a member": {
        "type": "object",
        "properties": {
            "address": {"$ref": "#/$defs/address"},
            "places": {"type": "array", "items": {"$ref": "#/$defs/address"}},
        },
        "additionalProperties": False,
        "if": {"properties": {"address": {"properties": {"country": {"const": "US"}}}}},
        "then": {"properties": {"address": {"properties": {"zip": {"minLength": 5}}}}},
        "not": {"properties": {"address": {"properties": {"zip": {"const": "0"}}}}},
        "allOf": [
            {"properties": {"places": {"items": {"properties": {"zip": {"minLength": 1}}}}}},
        ],
        "$defs": {
            "address": {
                "properties": {"country": {"type": "string"}, "zip": {"type": "string"}},
                "additionalProperties": False,
            }
        },
    },
    "put together of parts and closed around them": {
        "type": "object",
        "allOf": [{"properties": {"mode": {"type": "string"}}}, {"$ref": "#/$defs/place"}],
        "unevaluatedProperties": False,
        "$defs": {"place": {"properties": {"region": {"type": "string"}}}},
    },
    "closed by each of a choice": {
        "type": "object",
        "properties": {"kind": {"enum": ["card", "bank"]}, "key": {"type": "object"}},
        "required": ["kind"],
        "oneOf": [
            {"properties": {"kind": {"const": "card"}, "key": {}}, "additionalProperties": False},
            {"$ref": "#/$defs/bank"},
        ],
        "$defs": {
            "bank": {
                "properties": {"kind": {"const": "bank"}, "iban": {"type": "string"}},
                "additionalProperties": False,
            }
        },
    },
    "a member called properties, and examples": {
        "type": "object",
        "properties": {"properties": {"type": "string"}, "at": {"type": "string"}},
        "additionalProperties": False,
        "examples": [{"properties": {"x": 1}}],
    },
}
OPEN: dict[str, dict[str, Any]] = {
    "without any member": {"type": "object"},
    "a choice of itself": {"anyOf": [{"$ref": "#"}, {"additionalProperties": False}]},
    "the whole": {"type": "object", "properties": {"mode": {"type": "string"}}},
    "inside": {
        "properties": {"inner": {"properties": {"mode": {"type": "string"}}}},
        "additionalProperties": False,
    },
    "one of a choice": {
        "oneOf": [
            {"properties": {"a": {"type": "string"}}, "additionalProperties": False},
            {"properties": {"b": {"type": "string"}}},
        ]
    },
    "closed by one of a choice alone": {
        "properties": {"address": {"properties": {"zip": {"type": "string"}}}},
        "additionalProperties": False,
        "anyOf": [
            {"properties": {"address": {"additionalProperties": False}}},
            {"required": ["address"]},
        ],
    },
    "in a list": {
        "properties": {"all": {"items": {"properties": {"a": {"type": "string"}}}}},
        "unevaluatedProperties": False,
    },
    "in a definition": {
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "additionalProperties": False,
        "$defs": {"a": {"properties": {"b": {"type": "string"}, "a": {"$ref": "#/$defs/a"}}}},
    },
}


async def _judge(schema: dict[str, Any]) -> None:
    run: Any = types.SimpleNamespace(schema=types.SimpleNamespace(json_schema=json.dumps(schema)))
    assert checks_config.schema_is_valid.function is not None
    await checks_config.schema_is_valid.function(run)


@pytest.mark.parametrize("schema", CLOSED.values(), ids=CLOSED.keys())
async def test_a_schema_that_takes_no_unknown_member_is_closed(schema: dict[str, Any]) -> None:
    """What speaks of the same object need not close it again, and could not."""
    await _judge(schema)


@pytest.mark.parametrize("schema", OPEN.values(), ids=OPEN.keys())
async def test_an_object_that_takes_unknown_members_is_named(schema: dict[str, Any]) -> None:
    """A misspelt member would be taken for one that is not there."""
    with pytest.raises(checks.Failed, match="takes unknown members"):
        await _judge(schema)
