"""Holds objects of the double against the shapes that the official SDK declares.

Owns the walk over the annotations of the SDK's resource classes. Called by tests on everything
that the double made. Copies nothing of the SDK: it reads what is installed.
"""

import ast
import decimal
import functools
import importlib
import inspect
import pathlib
import sys
import types
import typing
from typing import Any

import stripe
from stripe import _object_classes, _stripe_object

Json = dict[str, Any]


@functools.cache
def _names(module: str) -> Json:
    """Returns what a module of the SDK imports for its annotations, resolved."""
    source = pathlib.Path(str(sys.modules[module].__file__)).read_text()
    found = dict(vars(typing)) | dict(vars(sys.modules[module]))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stripe"):
            origin = __import__(str(node.module), fromlist=["*"])
            for one in node.names:
                if hasattr(origin, one.name):
                    found[one.asname or one.name] = getattr(origin, one.name)
    return found


@functools.cache
def _fields(kind: type) -> dict[str, Any]:
    """Returns the fields that a class declares, with their types."""
    fields: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("stripe"):
            continue
        for name, annotation in inspect.get_annotations(base).items():
            declared = _resolved(annotation, base.__module__)
            if typing.get_origin(declared) is not typing.ClassVar and not name.startswith("_"):
                fields[name] = declared
    return fields


def _resolved(annotation: Any, module: str) -> Any:
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        return eval(annotation, _names(module))  # the SDK's own annotations
    return annotation


def _class(kind: str | None) -> type | None:
    found = _object_classes.OBJECT_CLASSES.get(kind or "")
    if found is None:
        return None
    module, name = found
    return typing.cast(type, getattr(importlib.import_module(module), name))


def problems(item: Json) -> list[str]:
    """Returns what is wrong with an object: fields that are not declared, missing, or ill-typed."""
    kind = _class(item.get("object"))
    if kind is None:
        return [f"{item.get('object')}: the SDK declares no such object"]
    if item.get("deleted"):
        return [] if set(item) == {"id", "object", "deleted"} else [f"{item}: more than deleted"]
    found = _object(item, kind, item["object"])
    if item["object"] == "event":
        found += [f"{item['type']}: {one}" for one in problems(item["data"]["object"])]
    return found


def error_problems(error: Json) -> list[str]:
    """Returns what is wrong with an error object."""
    return _object(error, stripe.ErrorObject, "error")


def _object(value: Json, kind: type, path: str) -> list[str]:
    fields = _fields(kind)
    found = [f"{path}.{name}: not declared by the SDK" for name in value if name not in fields]
    for name, declared in fields.items():
        if name not in value:
            if not _nullable(declared):
                found.append(f"{path}.{name}: missing")
            continue
        found += _value(value[name], declared, kind.__module__, f"{path}.{name}")
    return found


def _options(declared: Any) -> tuple[Any, ...]:
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        return typing.get_args(declared)
    return (declared,)


def _nullable(declared: Any) -> bool:
    return type(None) in _options(declared)


def _value(value: Any, declared: Any, module: str, path: str) -> list[str]:
    options: list[Any] = []
    for one in _options(_resolved(declared, module)):
        options += _options(_resolved(one, module))
    if Any in options:
        return []
    if value is None:
        return [] if type(None) in options else [f"{path}: null, which is not declared"]
    literals = [text for one in options if _is_literal(one) for text in typing.get_args(one)]
    if literals and isinstance(value, str | bool):
        return [] if value in literals else [f"{path}: {value!r} is none of the declared values"]
    tries = [_one(value, one, module, path) for one in options if one is not type(None)]
    if not all(tries):
        return []
    return min(tries, key=len)


def _is_literal(declared: Any) -> bool:
    return typing.get_origin(declared) is typing.Literal


def _each(value: Any, declared: Any, module: str, path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: {type(value).__name__} is not a list"]
    parts = [_value(part, declared, module, f"{path}[{n}]") for n, part in enumerate(value)]
    return [problem for part in parts for problem in part]


def _one(value: Any, declared: Any, module: str, path: str) -> list[str]:
    """Returns what keeps a value from being of one declared type."""
    origin, args = typing.get_origin(declared), typing.get_args(declared)
    bad = [f"{path}: {type(value).__name__} is not {declared}"]
    if declared in (str, decimal.Decimal):
        return [] if isinstance(value, str) else bad
    if declared is bool:
        return [] if isinstance(value, bool) else bad
    if declared is int:
        return [] if isinstance(value, int) and not isinstance(value, bool) else bad
    if declared is float:
        return [] if isinstance(value, int | float) and not isinstance(value, bool) else bad
    if origin is list:
        return _each(value, args[0], module, path)
    if not isinstance(value, dict):
        return bad
    if origin is stripe.ListObject:
        if value.get("object") != "list" or not isinstance(value.get("has_more"), bool):
            return [f"{path}: no list object"]
        return _each(value["data"], args[0], module, f"{path}.data")
    if origin is _stripe_object.UntypedStripeObject:
        parts = [_value(part, args[0], module, f"{path}.{n}") for n, part in value.items()]
        return [problem for part in parts for problem in part]
    if isinstance(declared, type) and issubclass(declared, stripe.StripeObject):
        kind = value.get("object")
        if isinstance(kind, str) and _class(kind) is not declared:
            return [f"{path}: {kind} is not {declared.__name__}"]
        return _object(value, declared, path)
    return bad
