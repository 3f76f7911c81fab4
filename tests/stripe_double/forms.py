"""Request parameters: nested form encoding in, checked values out.

Owns the decoding of `a[b][0][c]=x` and the refusal of unknown, missing and malformed
parameters. Called by server and by every handler. Never knows what a parameter means.
"""

import re
import urllib.parse
from collections.abc import Collection, Iterable
from typing import Any

from tests.stripe_double import errors

Json = dict[str, Any]

METADATA_KEYS_MAX = 50
METADATA_KEY_CHARS_MAX = 40
METADATA_VALUE_CHARS_MAX = 500
TEXT_CHARS_MAX = 5000

_NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_PART = re.compile(r"\[([^\[\]]*)\]")


def decode(encoded: str) -> Json:
    """Returns the nested parameters of a form or query string.

    Raises:
        errors.Refusal: A name is malformed or used for a value and a group at once.
    """
    root: Json = {}
    for name, value in urllib.parse.parse_qsl(encoded, keep_blank_values=True):
        match = _NAME.match(name)
        if match is None:
            raise errors.bad_parameter(f"Invalid parameter name: {name}", name)
        parts = [match[1], *_PART.findall(match[2])]
        node = root
        for part, after in zip(parts, [*parts[1:], None], strict=True):
            # An empty pair of brackets appends.
            spot = part or str(len(node))
            if after is None:
                node[spot] = value
                break
            node = node.setdefault(spot, {})
            if not isinstance(node, dict):
                raise errors.bad_parameter(f"Invalid object: {name}", name)
    return {name: _listed(value) for name, value in root.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(part) for name, part in value.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


class Params:
    """The parameters of one request or of one group inside it.

    Args:
        values: Nested parameters as decoded.
        prefix: The name of the group, for error messages; empty at the top.
    """

    def __init__(self, values: Json, prefix: str = "") -> None:
        self.values = values
        self._prefix = prefix

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def path(self, name: str) -> str:
        """Returns the full name of a parameter, as error objects spell it."""
        return f"{self._prefix}[{name}]" if self._prefix else name

    def only(self, allowed: Iterable[str]) -> "Params":
        """Refuses any parameter that is not among *allowed* or `expand`."""
        known = {*allowed, "expand"}
        for name in self.values:
            if name not in known:
                raise errors.bad_parameter(
                    f"Received unknown parameter: {self.path(name)}",
                    self.path(name),
                    "parameter_unknown",
                )
        return self

    def missing(self, name: str) -> errors.Refusal:
        """Returns the refusal of a request without a parameter that it needs."""
        path = self.path(name)
        return errors.bad_parameter(f"Missing required param: {path}.", path, "parameter_missing")

    def text(self, name: str, default: str | None = None) -> str | None:
        """Returns a string; an empty one clears, so it counts as None."""
        value = self.values.get(name, default)
        if value is not None and not isinstance(value, str):
            raise errors.bad_parameter(f"Invalid string: {self.path(name)}", self.path(name))
        if value is not None and len(value) > TEXT_CHARS_MAX:
            raise errors.bad_parameter(
                f"Invalid string: {self.path(name)}; must be at most {TEXT_CHARS_MAX} characters",
                self.path(name),
                "parameter_invalid_string_blank",
            )
        return value or None

    def needed(self, name: str) -> str:
        """Returns a string that must be there."""
        value = self.text(name)
        if value is None:
            raise self.missing(name)
        return value

    def number(self, name: str, default: int | None = None) -> int | None:
        """Returns an integer."""
        value = self.text(name)
        if value is None:
            return default
        if not re.fullmatch(r"-?\d{1,18}", value):
            raise errors.bad_parameter(
                f"Invalid integer: {value}", self.path(name), "parameter_invalid_integer"
            )
        return int(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """Returns a boolean."""
        value = self.text(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise errors.bad_parameter(f"Invalid boolean: {value}", self.path(name))
        return value.lower() == "true"

    def choice(self, name: str, allowed: Collection[str], default: str | None = None) -> str | None:
        """Returns one of the values that are allowed."""
        value = self.text(name, default)
        if value is not None and value not in allowed:
            raise errors.bad_parameter(
                f"Invalid {self.path(name)}: must be one of {', '.join(sorted(allowed))}",
                self.path(name),
            )
        return value

    def group(self, name: str) -> "Params | None":
        """Returns a nested group, or None when it is absent or cleared."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, dict):
            raise errors.bad_parameter(f"Invalid object: {self.path(name)}", self.path(name))
        return Params(value, self.path(name))

    def groups(self, name: str) -> "list[Params]":
        """Returns a list of nested groups."""
        value = self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise errors.bad_parameter(f"Invalid array: {self.path(name)}", self.path(name))
        return [Params(item, f"{self.path(name)}[{spot}]") for spot, item in enumerate(value)]

    def texts(self, name: str) -> list[str]:
        """Returns a list of strings."""
        value = self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise errors.bad_parameter(f"Invalid array: {self.path(name)}", self.path(name))
        return value

    def metadata(self, old: Json | None = None) -> Json:
        """Returns the metadata after this request: an empty value deletes its key."""
        merged = dict(old or {})
        value = self.values.get("metadata")
        if value == "":
            return {}
        if value is None:
            return merged
        if isinstance(value, list):
            value = {str(spot): item for spot, item in enumerate(value)}
        for name, text in value.items():
            if not isinstance(text, str):
                raise errors.bad_parameter("Metadata values must be strings.", "metadata")
            if len(name) > METADATA_KEY_CHARS_MAX or len(text) > METADATA_VALUE_CHARS_MAX:
                raise errors.bad_parameter(
                    f"Metadata keys hold up to {METADATA_KEY_CHARS_MAX} characters and values up "
                    f"to {METADATA_VALUE_CHARS_MAX}: {name}",
                    "metadata",
                )
            if text:
                merged[name] = text
            else:
                merged.pop(name, None)
        if len(merged) > METADATA_KEYS_MAX:
            raise errors.bad_parameter(
                f"Metadata holds up to {METADATA_KEYS_MAX} keys.", "metadata"
            )
        return merged

    def within(self, name: str, at: int) -> bool:
        """Tells whether *at* passes the range filter `name[gt|gte|lt|lte]` or equals `name`."""
        value = self.values.get(name)
        if value is None:
            return True
        if isinstance(value, str):
            return at == self.number(name)
        bounds = Params(value, self.path(name))
        bounds.only({"gt", "gte", "lt", "lte"})
        limits = {bound: bounds.number(bound) or 0 for bound in bounds.values}
        return (
            at > limits.get("gt", -1)
            and at >= limits.get("gte", 0)
            and at < limits.get("lt", at + 1)
            and at <= limits.get("lte", at)
        )
