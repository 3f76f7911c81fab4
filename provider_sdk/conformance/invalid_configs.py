"""Configurations that break a schema, made from one that does not.

Owns the generation of them and RFC 6901 pointers. Called by the checks of
configuration. What it makes is invalid by the schema itself, so that the plugin
is held to nothing but its own word.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

CASES_MAX = 60
DEPTH_MAX = 4
UNKNOWN_NAME = "conformance_unknown_member"

# Tried in this order; the first that the schema refuses is the case.
_WRONG: Sequence[Any] = (None, "x", -1, 1.5, True, [], {}, 10**12, "x" * 5_000, [None], {"x": None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One invalid configuration.

    Args:
        what: What is wrong, for the report.
        text: The configuration as text.
        document: The same as a value; None if the text is no JSON.
        is_absence: Whether something is missing, which a pointer may name though it
            is not there.
    """

    what: str
    text: str
    document: Any = None
    is_absence: bool = False


def validator(schema: Mapping[str, Any]) -> jsonschema.Draft202012Validator:
    """Returns what judges by *schema*, without any reference that leaves it."""
    return jsonschema.Draft202012Validator(schema)


def cases(schema: Mapping[str, Any], sample: Mapping[str, Any]) -> list[Case]:
    """Returns configurations that are invalid by *schema*, at most 60.

    Args:
        schema: The plugin's.
        sample: A valid configuration.
    """
    judge = validator(schema)
    found = [
        Case(what="no JSON at all", text="no JSON"),
        Case(what="JSON that ends too early", text='{"a": '),
        Case(what="an array instead of an object", text="[]", document=[]),
    ]
    for case in _edits(schema, sample, judge):
        if len(found) >= CASES_MAX:
            break
        found.append(case)
    return found


def _edits(
    schema: Mapping[str, Any],
    sample: Mapping[str, Any],
    judge: jsonschema.Draft202012Validator,
) -> Iterator[Case]:
    for path, part in _objects(schema, schema, sample, ()):
        shown = "/" + "/".join(path) if path else "the whole"
        yield from _kept(judge, sample, (*path, UNKNOWN_NAME), 1, f"an unknown member in {shown}")
        for name in part.get("required", ()):
            yield from _removed(judge, sample, (*path, name))
        for name in part.get("properties", {}):
            for wrong in _WRONG:
                place = "/".join((*path, name))
                made = list(
                    _kept(judge, sample, (*path, name), wrong, f"/{place} of a wrong kind or range")
                )
                if made:
                    yield from made
                    break


def _objects(
    root: Mapping[str, Any], schema: Mapping[str, Any], value: Any, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yields the schema of each object that the sample holds, with its path."""
    schema = resolve(root, schema)
    if not isinstance(value, Mapping) or len(path) > DEPTH_MAX:
        return
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            yield from _objects(root, inner, value[name], (*path, name))


def resolve(root: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """Returns *schema* with a reference inside the document followed."""
    for _ in range(DEPTH_MAX):
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        schema = find(root, reference[1:])
    return schema if isinstance(schema, Mapping) else {}


def _kept(
    judge: jsonschema.Draft202012Validator,
    sample: Mapping[str, Any],
    path: Sequence[str],
    value: Any,
    what: str,
) -> Iterator[Case]:
    document = copy.deepcopy(dict(sample))
    target = document
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = value
    if not judge.is_valid(document):
        yield Case(what=what, text=json.dumps(document), document=document)


def _removed(
    judge: jsonschema.Draft202012Validator, sample: Mapping[str, Any], path: Sequence[str]
) -> Iterator[Case]:
    document = copy.deepcopy(dict(sample))
    target = document
    for name in path[:-1]:
        target = target[name]
    if target.pop(path[-1], None) is not None and not judge.is_valid(document):
        what = f"/{'/'.join(path)} missing"
        yield Case(what=what, text=json.dumps(document), document=document, is_absence=True)


class NoSuchPlace(Exception):
    """A pointer leads nowhere."""


def find(document: Any, pointer: str) -> Any:
    """Returns what an RFC 6901 pointer names.

    Raises:
        NoSuchPlace: Nothing is there, or it is no pointer.
    """
    if not pointer:
        return document
    if not pointer.startswith("/"):
        raise NoSuchPlace(pointer)
    for raw in pointer[1:].split("/"):
        part = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(document, Mapping) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            raise NoSuchPlace(pointer)
    return document


def exists(case: Case, pointer: str) -> bool:
    """Whether *pointer* names a place of *case*, or what is missing from one."""
    above = [pointer.rpartition("/")[0]] if case.is_absence else []
    for one in (pointer, *above):
        try:
            find(case.document, one)
        except NoSuchPlace:
            continue
        return True
    return False
