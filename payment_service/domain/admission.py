"""What the allowlist lets a plugin be: its versions, its addresses, its permissions.

Owns the spelling of version specifiers, endpoint patterns and permissions, and what each
of them admits. Called when an entry is written, when an instance registers and when a
plugin's key is asked about. Pure.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import re2
from packaging import specifiers, version

_ENDPOINT = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_PORT_MAX = 65_535

# `events:publish:user.*`: publish events of that namespace.
_PERMISSION = re.compile(
    r"events:(?P<verb>publish|read):(?P<types>(?:[a-z][a-z0-9_]*\.)+(?:[a-z][a-z0-9_]*|\*))"
)
# What core alone tells: nobody else may say that a payment succeeded.
RESERVED = frozenset(
    {
        "payment",
        "refund",
        "customer",
        "payment_method",
        "plan",
        "subscription",
        "invoice",
        "checkout",
        "dispute",
        "plugin",
        "binding",
        "webhook",
        "webhook_endpoint",
        "consumer",
        "api_key",
        "retry_policy",
        "default_provider",
        "reconciliation",
    }
)


def version_problem(text: str) -> str:
    """Returns what is wrong with a version, or ''."""
    try:
        version.Version(text)
    except version.InvalidVersion:
        return f"version {text[:64]!r} can't be compared: write it like 1.4.0 or 2.0.0rc1"
    return ""


def specifier_problem(text: str) -> str:
    """Returns what is wrong with a version specifier, or ''; an empty one takes every version."""
    try:
        specifiers.SpecifierSet(text)
    except specifiers.InvalidSpecifier:
        return f"{text[:64]!r} is no version specifier; write it like >=1.4,<2 (PEP 440)"
    return ""


@functools.lru_cache(maxsize=4096)
def version_matches(specifier: str, text: str) -> bool:
    """Whether *specifier* takes version *text*; pre-releases count like any other version."""
    if not specifier:
        return True
    try:
        return specifiers.SpecifierSet(specifier).contains(text, prereleases=True)
    except (specifiers.InvalidSpecifier, version.InvalidVersion):
        return False


@functools.lru_cache(maxsize=4096)
def version_order(text: str) -> tuple[int, version.Version | str]:
    """Returns a key that orders versions, oldest first; what is no version comes before all."""
    try:
        return (1, version.Version(text))
    except version.InvalidVersion:
        return (0, text)


def endpoint_problem(endpoint: str) -> str:
    """Returns what is wrong with an endpoint, or ''."""
    found = _ENDPOINT.fullmatch(endpoint)
    if found and 0 < int(found["port"]) <= _PORT_MAX:
        return ""
    return f"{endpoint[:64]!r} is not host:port with a port from 1 to {_PORT_MAX}"


def pattern_problem(pattern: str) -> str:
    """Returns what is wrong with an endpoint pattern, or ''; an empty one matches nothing."""
    try:
        _compiled(pattern)
    except re2.error as error:
        return f"is no regular expression (RE2): {error}; write it like mock-[0-9]+:50061"
    return ""


def endpoint_matches(pattern: str, endpoint: str) -> bool:
    """Whether an instance may be at *endpoint*: the whole of it matches *pattern*.

    Hosts are compared as text: no name is looked up.
    """
    if not pattern or endpoint_problem(endpoint):
        return False
    try:
        return _compiled(pattern).fullmatch(endpoint) is not None
    except re2.error:
        return False


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    # A wrong pattern is a caller's error, not a line on stderr.
    options.log_errors = False
    return re2.compile(pattern, options)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTypes:
    """The event types a plugin's key may publish and read, like `user.created` or `user.*`."""

    publish: tuple[str, ...] = ()
    read: tuple[str, ...] = ()


def permission_problem(permission: str) -> str:
    """Returns what is wrong with a permission of an entry, or ''."""
    found = _PERMISSION.fullmatch(permission)
    if found is None:
        return (
            f"{permission[:64]!r} is no permission; write it like events:publish:user.* "
            "or events:read:payment.succeeded"
        )
    if found["verb"] == "publish" and found["types"].partition(".")[0] in RESERVED:
        return f"{permission!r} can't be granted: core alone publishes {found['types']}"
    return ""


def event_types(permissions: Iterable[str]) -> EventTypes:
    """Returns what *permissions* say of events; whatever else they hold is left out."""
    granted: dict[str, list[str]] = {"publish": [], "read": []}
    for permission in permissions:
        if (found := _PERMISSION.fullmatch(permission)) is not None:
            granted[found["verb"]].append(found["types"])
    return EventTypes(publish=tuple(granted["publish"]), read=tuple(granted["read"]))


def in_force(granted: Iterable[str], asked: Iterable[str]) -> tuple[str, ...]:
    """Returns the permissions a plugin has: what it asks for, as far as it is granted."""
    wide, wanted = tuple(granted), tuple(asked)
    found = [each for each in wanted if covers(wide, each)]
    found += [each for each in wide if covers(wanted, each) and each not in found]
    return tuple(found)


def covers(granted: Iterable[str], permission: str) -> bool:
    """Whether *permission* is among *granted*, by itself or in a wider namespace."""
    for each in granted:
        if each == permission:
            return True
        if each.endswith(".*") and permission.startswith(each[:-1]):
            return True
    return False
