"""The configuration of one merchant at Acme, and how older ones become it.

Owns the model that the schema is made of. Called by `provider`. Never holds a
secret: those have slots.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from provider_sdk import provider

SCHEMA_VERSION = 2

Currency = Annotated[str, pydantic.Field(pattern=r"^[A-Z]{3}$")]
Minor = Annotated[int, pydantic.Field(ge=1)]


class AcmeConfig(pydantic.BaseModel):
    """What an operator configures for a merchant; its text is what a form shows."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    merchant: str = pydantic.Field(
        min_length=1,
        max_length=64,
        pattern=r"^[a-z0-9-]+$",
        description="The merchant's name in Acme's back office.",
    )
    limits_minor: dict[Currency, Minor] = pydantic.Field(
        default={},
        max_length=20,
        description="Most that Acme takes at once, minor units by currency.",
    )


def migrate(from_version: int, config: Mapping[str, Any]) -> provider.Migrated:
    """Rewrites a configuration of schema version 1 for version 2.

    Version 1 had `account`, one `limit` in euros, and a switch `sandbox`, which is where
    the process is pointed since.
    """
    if from_version not in (0, 1) or "merchant" in config:
        return provider.Migrated(config=config)
    found = []
    if config.get("sandbox"):
        text = "a sandbox is a process of its own now; set its ACME_UPSTREAM_URL instead"
        found.append(provider.Diagnostic(summary=text, json_pointer="/sandbox"))
    account = config.get("account")
    if not isinstance(account, str):
        text = "without an account nobody knows the merchant; configure it anew"
        found.append(provider.Diagnostic(summary=text, json_pointer="/account"))
    if found:
        return provider.Migrated(config=None, diagnostics=found)
    made: dict[str, Any] = {"merchant": str(account).lower()}
    if "limit" in config:
        made["limits_minor"] = {"EUR": config["limit"]}
    if made["merchant"] != account:
        text = "merchants are written in lower case now"
        found.append(provider.Diagnostic(summary=text, json_pointer="/account", is_error=False))
    return provider.Migrated(config=made, diagnostics=found)
