"""Judging a configuration by a plugin's JSON Schema, in a process of its own.

Owns the reading of schemas and the wording of what is found. A schema is a plugin's word:
one with a pattern or references that never end must not hold up payments, so it is judged
apart, with a limit on time and memory. Called by `gates`; run as
`python -m payment_service.usecases.bindings.schema_check`. Never quotes a value of a configuration.
"""

import asyncio
import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from servicekit import bounded

TIMEOUT_S = 10.0
MEMORY_BYTES_MAX = 512 * 1024 * 1024
FINDINGS_MAX = 50
# How long a parser goes on by itself differs between versions of Python.
DEPTH_MAX = 100
TEXT_CHARS_MAX = 300
PROCESSES_MAX = 2
REMEMBERED_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong with a configuration; `json_pointer` is '' for the whole."""

    summary: str
    json_pointer: str = ""


class CheckFailed(Exception):
    """The check did not come to an end: the schema is at fault, not the configuration."""


class Judge:
    """Judges configurations, each by a schema once: what was found is remembered."""

    def __init__(self) -> None:
        # Each ties up a thread and a processor.
        self._judging = asyncio.Semaphore(PROCESSES_MAX)
        self._found: bounded.Bounded[bytes, list[Finding]] = bounded.Bounded(REMEMBERED_MAX)

    async def check(self, schema: str, configs: list[str]) -> list[list[Finding]]:
        """Returns what *schema* finds wrong with each of *configs*, in their order.

        Raises:
            CheckFailed: The schema can't be used, or it takes too long.
        """
        told: dict[bytes, list[Finding]] = {}
        asked: dict[bytes, str] = {}
        keys = [_digest(schema, config) for config in configs]
        for key, config in zip(keys, configs, strict=True):
            if key in self._found:
                told[key] = self._found[key]
                self._found.move_to_end(key)
            else:
                asked[key] = config
        if asked:
            async with self._judging:
                found = await _check(schema, list(asked.values()))
            told |= zip(asked, found, strict=True)
            self._found |= zip(asked, found, strict=True)
        return [told[key] for key in keys]


def _digest(schema: str, config: str) -> bytes:
    digest = hashlib.sha256(schema.encode())
    digest.update(b"\0")
    digest.update(config.encode())
    return digest.digest()


async def _check(schema: str, configs: list[str]) -> list[list[Finding]]:
    sent = json.dumps({"schema": schema, "configs": configs}).encode()
    # An event loop's own pipes to children are not safe beside gRPC's threads.
    answer = await asyncio.to_thread(_apart, sent)
    told = json.loads(answer)
    if "unusable" in told:
        raise CheckFailed(str(told["unusable"]))
    return [
        [Finding(summary=summary, json_pointer=pointer) for summary, pointer in found]
        for found in told["found"]
    ]


def _apart(sent: bytes) -> bytes:
    # The child needs none of the service's settings, which hold secrets.
    env = {k: v for k, v in os.environ.items() if not k.startswith("PAYMENT_SERVICE_")}
    try:
        ended = subprocess.run(
            [sys.executable, "-m", __name__],
            input=sent,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"judging by this schema takes longer than {TIMEOUT_S:g} s") from None
    if ended.returncode or not ended.stdout:
        raise CheckFailed("judging by this schema takes more than it may")
    return ended.stdout


def read_object(text: str) -> dict[str, Any] | Finding:
    """Returns a configuration's text as an object, or what is wrong with the text."""
    try:
        content = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        return Finding(summary=f"is not JSON: {problem.msg} at {where}")
    except ValueError as problem:
        return Finding(summary=str(problem))
    except RecursionError:
        return Finding(summary="is nested too deep")
    if not isinstance(content, dict):
        return Finding(summary="must be a JSON object")
    if _is_deeper(content, DEPTH_MAX):
        return Finding(summary=f"is nested too deep; {DEPTH_MAX} levels are the most")
    return content


def _is_deeper(content: Any, most: int) -> bool:
    """Whether a JSON value has more than *most* objects and lists in one another."""
    level = [content]
    for _ in range(most):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("an object has two members of one name")
    return content


def judge(schema: str, config: str) -> list[Finding]:
    """Returns what *schema* finds wrong with *config*, at most FINDINGS_MAX.

    Raises:
        CheckFailed: The schema can't be used.
    """
    import jsonschema
    import referencing

    content = read_object(config)
    if isinstance(content, Finding):
        return [content]
    try:
        document = json.loads(schema)
        jsonschema.Draft202012Validator.check_schema(document)
        # An empty registry: a reference to another document is an error, not a download.
        validator = jsonschema.Draft202012Validator(document, registry=referencing.Registry())
        found: list[Finding] = []
        for error in validator.iter_errors(content):
            found += _findings(error)
            if len(found) >= FINDINGS_MAX:
                break
    except (ValueError, jsonschema.SchemaError):
        raise CheckFailed("the plugin's schema is not a JSON Schema of draft 2020-12") from None
    except referencing.exceptions.Unresolvable:
        raise CheckFailed("the plugin's schema refers to what it does not contain") from None
    except RecursionError:
        raise CheckFailed("the plugin's schema never ends") from None
    unique = dict.fromkeys(found[:FINDINGS_MAX])
    return sorted(unique, key=lambda finding: (finding.json_pointer, finding.summary))


def _findings(error: Any) -> Iterator[Finding]:
    pointer = "".join(f"/{escape(str(part))}" for part in error.absolute_path)
    wanted, value = error.validator_value, error.instance
    match error.validator:
        case "required":
            for name in wanted:
                if name not in value:
                    yield Finding(summary="is missing", json_pointer=f"{pointer}/{escape(name)}")
        case "additionalProperties" | "unevaluatedProperties" if isinstance(value, Mapping):
            known = error.schema.get("properties", {})
            hint = f"; known are: {', '.join(sorted(known))}" if known else ""
            for name in value:
                if name not in known and repr(name) in error.message:
                    text = _cut(f"is not a member the plugin knows{hint}")
                    yield Finding(summary=text, json_pointer=f"{pointer}/{escape(name)}")
        case "anyOf" | "oneOf":
            closest = [f for each in error.context or () for f in _findings(each)]
            text = "; or ".join(dict.fromkeys(each.summary for each in closest)) or "fits none"
            yield Finding(summary=_cut(text), json_pointer=pointer)
        case _:
            yield Finding(summary=_cut(_wording(error.validator, wanted)), json_pointer=pointer)


_WORDINGS = {
    "type": "must be of type {}",
    "enum": "must be one of {}",
    "const": "must be {}",
    "pattern": "must match {}",
    "format": "must be a {}",
    "minimum": "must be at least {}",
    "exclusiveMinimum": "must be above {}",
    "maximum": "must be at most {}",
    "exclusiveMaximum": "must be below {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} members",
    "maxProperties": "must have at most {} members",
    "uniqueItems": "must not have equal items",
}


def _wording(keyword: str, wanted: Any) -> str:
    # The library's own messages quote the value, which may be a secret in the wrong place.
    if isinstance(wanted, list):
        wanted = ", ".join(str(each) for each in wanted)
    text = _WORDINGS.get(keyword, f"breaks the schema's rule {keyword!r}")
    return text.format(wanted)


def escape(part: str) -> str:
    """Returns a name as part of a JSON pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARS_MAX else text[: TEXT_CHARS_MAX - 1] + "…"


def main() -> None:
    """Judges what stdin holds and writes what was found to stdout."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    seconds = int(TIMEOUT_S) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    asked = json.load(sys.stdin)
    try:
        found = [judge(asked["schema"], config) for config in asked["configs"]]
    except CheckFailed as problem:
        told: dict[str, Any] = {"unusable": str(problem)}
    else:
        told = {"found": [[[f.summary, f.json_pointer] for f in each] for each in found]}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
