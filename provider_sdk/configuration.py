"""From what core sends to a binding a provider can use.

Owns parsing and checking of configurations and secrets, and the schema core
sees. Called by the plugin servicer. Never puts a value of a configuration or
a secret into a diagnostic.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic
from payhub.plugin.v1 import plugin_service_pb2

from provider_sdk import provider, times

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_BYTES_MAX = 262_144

Secrets = Mapping[str, Sequence[provider.Secret]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What came of a configuration.

    Args:
        config: The provider's model, or None if it can't be built.
        secrets: Versions of each slot, highest first.
        diagnostics: Everything found.
    """

    config: pydantic.BaseModel | None
    secrets: Secrets
    diagnostics: tuple[provider.Diagnostic, ...]

    @property
    def is_valid(self) -> bool:
        """Whether nothing found is an error."""
        return not any(diagnostic.is_error for diagnostic in self.diagnostics)


def schema_of(model: type[pydantic.BaseModel]) -> tuple[str, str]:
    """Returns the JSON Schema of *model* as text, and its digest."""
    schema = {"$schema": SCHEMA_DIALECT, **model.model_json_schema()}
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    if len(text.encode()) > SCHEMA_BYTES_MAX:
        raise ValueError(f"the schema of {model.__name__} is larger than {SCHEMA_BYTES_MAX} bytes")
    return text, f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


async def parse(plugin: provider.Provider[Any], sent: plugin_service_pb2.BindingConfig) -> Parsed:
    """Checks a configuration whole: document, secrets, and the provider's own rules."""
    config, found = _parse_document(plugin.config_model, sent.config_json or "{}")
    secrets, problems = _parse_secrets(plugin.secret_slots, sent.secrets)
    found += problems
    if config is not None and not any(diagnostic.is_error for diagnostic in found):
        found += await plugin.validate(config, secrets)
    return Parsed(config=config, secrets=secrets, diagnostics=tuple(found))


def _parse_document(
    model: type[pydantic.BaseModel], text: str
) -> tuple[pydantic.BaseModel | None, list[provider.Diagnostic]]:
    try:
        return model.model_validate_json(text, strict=True), []
    except pydantic.ValidationError as failure:
        return None, [
            provider.Diagnostic(
                summary=str(error["msg"]),
                json_pointer="".join(f"/{_escape(str(part))}" for part in error["loc"]),
            )
            for error in failure.errors(include_url=False, include_input=False)
        ]


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _parse_secrets(
    slots: Sequence[provider.SecretSlot], sent: Sequence[plugin_service_pb2.SecretValue]
) -> tuple[Secrets, list[provider.Diagnostic]]:
    known = {slot.slot: slot for slot in slots}
    versions: dict[str, list[provider.Secret]] = {}
    found: list[provider.Diagnostic] = []
    for value in sent:
        if value.slot not in known:
            known_names = ", ".join(known) or "none"
            found.append(
                provider.Diagnostic(
                    summary=f"unknown secret slot {value.slot}; the slots are: {known_names}"
                )
            )
            continue
        expire_us = None
        if value.HasField("expire_time"):
            expire_us = times.micros(value.expire_time, field="config.secrets.expire_time")
        versions.setdefault(value.slot, []).append(
            provider.Secret(value.value, version=value.version, expire_us=expire_us)
        )
    found += [
        provider.Diagnostic(summary=f"the secret {slot.slot} is missing")
        for slot in slots
        if slot.required and slot.slot not in versions
    ]
    for held in versions.values():
        held.sort(key=lambda secret: secret.version, reverse=True)
    return versions, found
