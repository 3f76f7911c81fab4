"""Reads compose files as Docker Compose would, as far as ours need it.

Owns interpolation, `!reset` and the merging of an override. Called by `check_compose`.
Never starts anything.
"""

import pathlib
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<bare>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?::?(?P<operator>[-?])(?P<text>[^${}]*))?\}|(?P<other>\{))"
)
RESET = object()
# Compose adds to these lists where it replaces others.
APPENDED = frozenset({"ports", "volumes", "expose", "tmpfs"})


class ComposeError(Exception):
    """A file can't be read; the text says which and why."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML with the tags of Docker Compose, in C where that was built."""


_Loader.add_constructor("!reset", lambda _loader, _node: RESET)


def load(
    paths: Iterable[pathlib.Path], required: Mapping[str, str] = types.MappingProxyType({})
) -> dict[str, Any]:
    """Returns the merged content of compose files as if no variable were set but those that are
    asked for: others are replaced by their defaults.

    Args:
        paths: The files, each laid over those before it.
        required: Values of variables that are asked for, as in `${NAME:?what is missing}`.

    Raises:
        ComposeError: a file is missing, is not YAML, uses a variable that has no default and is
            not asked for, or asks for one that `required` does not have.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            # The loader is a SafeLoader: it makes plain values only.
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        except (OSError, yaml.YAMLError) as error:
            raise ComposeError(f"{path.name}: {error}") from None
        if not isinstance(content, dict):
            raise ComposeError(f"{path.name}: has to be a mapping")
        merged = _merge(merged, _interpolate(content, required, path.name), "")
    return merged


def _interpolate(value: Any, required: Mapping[str, str], where: str) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _interpolate(inner, required, f"{where}.{key}") for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_interpolate(inner, required, where) for inner in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["other"]:
            raise ComposeError(f"{where}: {value!r} can't be read; write ${{NAME:-default}}")
        name, text = match["name"] or match["bare"], match["text"]
        if text is None:
            raise ComposeError(f"{where}: ${{{name}}} has no default; write ${{{name}:-...}}")
        if match["operator"] == "-":
            return str(text)
        if not required.get(name):
            raise ComposeError(f"{where}: required variable {name} is missing a value: {text}")
        return required[name]

    return VARIABLE.sub(replace, value)


def _merge(below: Any, above: Any, key: str) -> Any:
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        result = dict(below)
        for name, value in above.items():
            if value is RESET:
                result.pop(name, None)
            else:
                result[name] = _merge(result.get(name), value, name)
        return result
    if key in APPENDED and isinstance(below, list) and isinstance(above, list):
        return [*below, *(value for value in above if value not in below)]
    return above
