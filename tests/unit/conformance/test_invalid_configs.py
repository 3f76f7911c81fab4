"""Generated configurations are really invalid, and pointers are followed exactly."""

import json

import pytest

from provider_sdk.conformance import invalid_configs

SCHEMA = {
    "$defs": {
        "Account": {
            "type": "object",
            "properties": {"id": {"type": "string"}, "region": {"enum": ["eu", "us"]}},
            "required": ["id"],
            "additionalProperties": False,
        }
    },
    "type": "object",
    "properties": {"account": {"$ref": "#/$defs/Account"}, "retries": {"type": "integer"}},
    "required": ["account"],
    "additionalProperties": False,
}
SAMPLE = {"account": {"id": "a1", "region": "eu"}, "retries": 3}


def test_every_case_breaks_the_schema() -> None:
    """And together they break each member, in each object, in each way that is possible."""
    judge = invalid_configs.validator(SCHEMA)
    cases = invalid_configs.cases(SCHEMA, SAMPLE)
    for case in cases:
        if case.document is not None:
            assert not judge.is_valid(case.document), case.what
            assert json.loads(case.text) == case.document
    said = " | ".join(case.what for case in cases)
    for place in (
        "no JSON at all",
        "unknown member in the whole",
        "unknown member in /account",
        "/account missing",
        "/account/id missing",
        "/account/id of a wrong kind",
        "/account/region of a wrong kind",
        "/retries of a wrong kind",
    ):
        assert place in said


def test_the_sample_is_not_changed() -> None:
    """Cases are copies."""
    before = json.dumps(SAMPLE)
    invalid_configs.cases(SCHEMA, SAMPLE)
    assert json.dumps(SAMPLE) == before


@pytest.mark.parametrize(
    ("pointer", "there"),
    [
        ("", True),
        ("/account/id", True),
        ("/list/1", True),
        ("/a~1b/~0", True),
        ("/list/2", False),
        ("/account/name", False),
        ("account", False),
        ("/account/id/x", False),
    ],
)
def test_a_pointer_leads_somewhere_or_not(pointer: str, there: bool) -> None:
    """As RFC 6901 says, escapes included."""
    document = {"account": {"id": "a1"}, "list": [1, 2], "a/b": {"~": 0}}
    case = invalid_configs.Case(what="", text="", document=document)
    assert invalid_configs.exists(case, pointer) is there


def test_a_pointer_may_name_what_is_missing() -> None:
    """But only where something is missing."""
    for is_absence in (True, False):
        case = invalid_configs.Case(
            what="", text="", document={"account": {}}, is_absence=is_absence
        )
        assert invalid_configs.exists(case, "/account/id") is is_absence
        assert not invalid_configs.exists(case, "/nowhere/id")
