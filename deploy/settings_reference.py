"""Keeps docs/settings.md in step with the settings classes.

Owns the columns that classes decide: variables, defaults, ranges. What a variable means is
written in the document by hand and kept. Called by `make gen`, which writes, and by `make check`,
which fails if something is missing. Never reads the environment.
"""

import argparse
import json
import re
import sys
import typing
from collections.abc import Iterator

import pydantic
from pydantic import fields

from deploy import check_compose
from servicekit import settings as kit_settings

DOCUMENT = check_compose.ROOT / "docs" / "settings.md"
BOUNDS = {"gt": "above", "ge": "from", "lt": "below", "le": "up to"}
ROW = re.compile(r"^\| `(?P<name>[A-Z_]+)` \| [^|]* \| [^|]* \| (?P<meaning>.*) \|$")
HEADER = "| variable | default | values | meaning |\n|---|---|---|---|"


def render(text: str) -> tuple[str, list[str]]:
    """Returns the document as it has to be, and the variables that say nothing yet."""
    meanings = {
        match["name"]: match["meaning"].strip()
        for line in text.splitlines()
        if (match := ROW.match(line))
    }
    head = text.split("\n## ", 1)[0].rstrip()
    parts = [head, _section("every process", kit_settings.ServiceSettings, "", meanings)]
    for process, cls in check_compose.SETTINGS.items():
        prefix = str(cls.model_config["env_prefix"])
        parts.append(_section(process, cls, prefix, meanings))
    whole = "\n\n".join(parts) + "\n"
    silent = [line.split("`")[1] for line in whole.splitlines() if line.endswith("|  |")]
    return whole, silent


def _section(
    title: str, cls: type[kit_settings.ServiceSettings], prefix: str, meanings: dict[str, str]
) -> str:
    rows = [
        f"| `{name}` | {_default(field)} | {_values(field)} | {meanings.get(name, '')} |"
        for key, field in cls.model_fields.items()
        if (not prefix or key.endswith("_port") or _is_own(key, field))
        for name in [f"{prefix}{key}".upper()]
    ]
    return "\n".join([f"## {title}", "", HEADER, *rows])


def _is_own(key: str, field: fields.FieldInfo) -> bool:
    """Tells whether a process has a variable, or its default, for itself."""
    common = kit_settings.ServiceSettings.model_fields.get(key)
    return common is None or common.default != field.default


def _default(field: fields.FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, pydantic.SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", {}, ()):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:.10g}`"
    if isinstance(value, tuple):
        value = [int(one) if isinstance(one, float) and one.is_integer() else one for one in value]
    if isinstance(value, dict | list):
        return f"`{json.dumps(value)}`"
    return f"`{value}`"


def _values(field: fields.FieldInfo) -> str:
    """Returns the range of a number, or the words that are allowed."""
    if typing.get_origin(field.annotation) is tuple:
        return "JSON list"
    if words := typing.get_args(field.annotation) if "Literal" in str(field.annotation) else ():
        return ", ".join(f"`{word}`" for word in words)
    if "bool" in str(field.annotation):
        return "`true`, `false`"
    return ", ".join(_bounds(field)) or "text"


def _bounds(field: fields.FieldInfo) -> Iterator[str]:
    for rule in field.metadata:
        for name, word in BOUNDS.items():
            if (bound := getattr(rule, name, None)) is not None:
                yield f"{word} {bound}"


def main() -> int:
    """Writes the document, or with `--check` compares; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.settings_reference")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    text = DOCUMENT.read_text()
    wanted, silent = render(text)
    if not options.check:
        DOCUMENT.write_text(wanted)
    elif wanted != text:
        sys.stderr.write("docs/settings.md is not what the classes say: run make gen\n")
        return 1
    for name in silent:
        sys.stderr.write(f"docs/settings.md: say in the last column what {name} means\n")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
