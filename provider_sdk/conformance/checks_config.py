"""Checks 14 to 16: the schema and the check of a configuration.

Owns what can be said of configurations without applying one. Collected by
`catalog`.
"""

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema
from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import checks, invalid_configs, refusal
from provider_sdk.conformance import run as runs

SCHEMA_BYTES_MAX = 262_144
Schema = Mapping[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
UNKNOWN_SLOT = "conformance_unknown_slot"

_REFERENCES = ("$ref", "$dynamicRef")
# Where JSON Schema has schemas of the same object, of members by name, and of other values.
_SAME = frozenset({"allOf", "anyOf", "oneOf", "then", "else"})
_MEMBERS = ("properties", "patternProperties")
_OTHERS = frozenset({"items", "prefixItems", "contains", "additionalProperties"})
_OTHERS |= {"unevaluatedItems", "unevaluatedProperties"}
_ERROR = ps.Diagnostic.SEVERITY_ERROR


@checks.check(
    number=14,
    part="a",
    title="The schema is valid draft 2020-12, closed, within size, without remote references.",
)
async def schema_is_valid(run: runs.Run) -> None:
    """Judges the schema by its own dialect."""
    text = run.schema.json_schema
    found = []
    if len(text.encode()) > SCHEMA_BYTES_MAX:
        found.append(f"it has {len(text.encode())} bytes, {SCHEMA_BYTES_MAX} are the most")
    schema = parsed(run)
    if schema.get("$schema", DIALECT).rstrip("#") != DIALECT:
        found.append(f"$schema is {str(schema['$schema'])[:80]!r}")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        found.append(f"{error.json_path}: {error.message[:200]}")
    for part in _parts(schema):
        found += [
            f"{name} {str(part[name])[:80]!r} leaves the document"
            for name in _REFERENCES
            if not str(part.get(name, "#")).startswith("#")
        ]
    found += [
        f"{str(part.get('title', 'an object'))[:80]} takes unknown members"
        for part in _open(schema, schema, beside=(), seen=set())
    ]
    if found:
        raise checks.Failed(
            "; ".join(found[:10]),
            fix="correct the schema; objects need `additionalProperties: false`",
        )


@checks.check(
    number=14,
    part="b",
    title="The digest is the SHA-256 of the schema as sent, and the handshake's.",
)
async def digest_is_right(run: runs.Run) -> None:
    """Computes it."""
    expected = f"sha256:{hashlib.sha256(run.schema.json_schema.encode()).hexdigest()}"
    for name, digest in (
        ("GetConfigSchema", run.schema.schema_digest),
        ("Handshake", run.handshake.schema_digest),
    ):
        if digest != expected:
            raise checks.Failed(
                f"{name} says {digest[:80] or '(nothing)'}, the schema's is {expected}",
                fix="compute the digest over the bytes of json_schema",
            )


@checks.check(
    number=14,
    part="c",
    title="Schema, digest and secret slots are the same after a restart.",
    needs_process=True,
)
async def schema_is_stable(run: runs.Run) -> None:
    """Restarts a process."""
    async with run.spare() as other:
        before = other.schema
        await other.restart()
        if other.schema != before:
            raise checks.Failed(
                "GetConfigSchema answers something else after a restart",
                fix="let it depend on the version alone; write members in a fixed order",
            )


@checks.check(
    number=15,
    part="a",
    title="The profile's configuration is valid.",
)
async def sample_is_valid(run: runs.Run) -> None:
    """Sends it to ValidateConfig."""
    binding = await run.new_binding(configure=False)
    found = [one for one in await binding.validate() if one.severity == _ERROR]
    if found:
        raise checks.Failed(
            f"{found[0].json_pointer or 'the whole'}: {found[0].summary[:200]}",
            fix="correct the profile's `config` or `secrets`, or the check of the provider",
        )


@checks.check(
    number=15,
    part="b",
    title="Each configuration that breaks the schema gives an error whose pointer exists.",
)
async def invalid_gives_diagnostics(run: runs.Run) -> None:
    """Sends configurations generated from the schema and the profile's."""
    binding = await run.new_binding(configure=False)
    listed = invalid_configs.cases(parsed(run), run.profile.config)
    for case in listed:
        found = await _diagnostics(binding, case)
        errors = [one for one in found if one.severity == _ERROR]
        if not errors:
            raise checks.Failed(
                f"no error for {case.what}: {case.text[:200]}",
                fix="give a diagnostic with SEVERITY_ERROR",
            )
        for one in found:
            if not one.summary:
                raise checks.Failed(
                    f"a diagnostic without a summary for {case.what}",
                    fix="say in one line what is wrong",
                )
            if not invalid_configs.exists(case, one.json_pointer):
                raise checks.Failed(
                    f"the pointer {one.json_pointer[:80]!r} leads nowhere for {case.what}",
                    rule="json_pointer is an RFC 6901 pointer into the configuration, or empty.",
                    fix="point at the member that is wrong, or leave the pointer empty",
                )
    run.note(f"{len(listed)} invalid configurations")


async def _diagnostics(
    binding: bindings.Binding, case: invalid_configs.Case
) -> list[ps.Diagnostic]:
    try:
        return await binding.validate(case.text)
    except refusal.Refused as refused:
        raise checks.Failed(
            f"ValidateConfig failed for {case.what}: {refused.shown()}",
            rule="Problems in a configuration are diagnostics in an OK answer.",
            fix="answer OK with a diagnostic",
        ) from refused


@checks.check(
    number=15,
    part="c",
    title="A missing or unknown secret gives an error.",
)
async def secrets_are_checked(run: runs.Run) -> None:
    """Leaves out what is required, and adds what nobody knows."""
    binding = await run.new_binding(configure=False)
    tries = {
        f"the required secret {slot.slot} missing": {
            name: value for name, value in run.secrets.items() if name != slot.slot
        }
        for slot in run.schema.secret_slots
        if slot.required
    }
    tries["a secret for an unknown slot"] = {
        **run.secrets,
        UNKNOWN_SLOT: run.canaries.new(UNKNOWN_SLOT),
    }
    for what, secrets in tries.items():
        found = await binding.validate(secrets=secrets)
        if not any(one.severity == _ERROR for one in found):
            raise checks.Failed(
                f"no error for {what}", fix="compare the secrets with the slots of the schema"
            )


@checks.check(
    number=16,
    title="ValidateConfig applies nothing and stores nothing.",
)
async def validation_is_pure(run: runs.Run) -> None:
    """Validates between a Configure and a payment."""
    binding = await run.new_binding(generation=3)
    before = await _held(run)
    await binding.validate()
    await binding.validate("{broken")
    if await binding.applied_generation() != 3:
        raise checks.Failed(
            f"generation {await binding.applied_generation()} is in force after ValidateConfig, "
            "3 before",
            fix="change nothing in ValidateConfig",
        )
    # Elsewhere other callers may configure meanwhile.
    if run.process is not None and await _held(run) != before:
        raise checks.Failed(
            "Probe reports other bindings after ValidateConfig",
            fix="change nothing in ValidateConfig",
        )
    await binding.pay()


async def _held(run: runs.Run) -> dict[str, int]:
    probe = await run.call(run.plugin.Probe, ps.ProbeRequest(), timeout_s=5.0)
    return {one.binding_id: int(one.applied_generation) for one in probe.bindings}


def parsed(run: runs.Run) -> Mapping[str, Any]:
    """Returns the schema as a value.

    Raises:
        Failed: It is no JSON object.
    """
    try:
        schema = json.loads(run.schema.json_schema)
    except ValueError:
        schema = None
    if not isinstance(schema, dict):
        raise checks.Failed(
            "json_schema is no JSON object", fix="send a JSON Schema of an object as text"
        )
    return schema


def _open(
    root: Mapping[str, Any], schema: Any, *, beside: Sequence[Schema], seen: set[tuple[str, bool]]
) -> Iterator[Schema]:
    """Yields every schema of an object that takes unknown members.

    Args:
        root: The whole document.
        schema: A part of it.
        beside: Others that the same value has to meet whenever it has to meet this one.
        seen: References that were followed.
    """
    if not isinstance(schema, Mapping):
        return
    met = list({id(one): one for one in (*beside, *_certain(root, schema))}.values())
    closed = any(_closes(root, one) for one in met)
    # What has no members of its own takes whatever it is meant for, but for the whole.
    if not closed and (schema is root or isinstance(schema.get("properties"), Mapping)):
        yield schema
    inside = functools.partial(_open, root, seen=seen)
    # What is under `if` and `not` lets nothing in by itself.
    for inner in _same(schema):
        yield from inside(inner, beside=met)
    reference = schema.get("$ref")
    if isinstance(reference, str) and (reference, closed) not in seen:
        seen.add((reference, closed))
        yield from inside(_named(root, reference), beside=met)
    for keyword in _MEMBERS:
        for name in _mapping(schema.get(keyword)):
            members = [one for each in met for one in _certain(root, _at(each, keyword, name))]
            yield from inside(_at(schema, keyword, name), beside=members)
    for keyword in _OTHERS & schema.keys():
        others = [one for each in met for one in _certain(root, each.get(keyword))]
        for inner in _listed(schema[keyword]):
            yield from inside(inner, beside=others)


def _closes(root: Schema, schema: Schema, above: frozenset[int] = frozenset()) -> bool:
    """Whether a schema refuses unknown members, or each of a choice that it gives does."""
    if id(schema) in above:
        return False
    above |= {id(schema)}
    if schema.get("additionalProperties", schema.get("unevaluatedProperties")) is False:
        return True
    choices = [_listed(schema[keyword]) for keyword in ("anyOf", "oneOf") if keyword in schema]
    return any(
        all(any(_closes(root, part, above) for part in _certain(root, one)) for one in choice)
        for choice in choices
        if choice
    )


def _certain(root: Schema, schema: Any, followed: frozenset[str] = frozenset()) -> Iterator[Schema]:
    """Yields a schema and those that whoever meets it meets too."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in followed:
        yield from _certain(root, _named(root, reference), followed | {reference})
    for part in _listed(schema.get("allOf")):
        yield from _certain(root, part, followed)


def _same(schema: Schema) -> Iterator[Any]:
    """Yields what is said of the same value."""
    for keyword in _SAME & schema.keys():
        yield from _listed(schema[keyword])
    yield from _mapping(schema.get("dependentSchemas")).values()


def _named(root: Schema, reference: str) -> Any:
    with contextlib.suppress(invalid_configs.NoSuchPlace):
        return invalid_configs.find(root, reference[1:])
    return None


def _at(schema: Schema, keyword: str, name: str) -> Any:
    return _mapping(schema.get(keyword)).get(name)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yields every object in the schema."""
    if isinstance(schema, Mapping):
        yield schema
        for inner in schema.values():
            yield from _parts(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _parts(inner)
