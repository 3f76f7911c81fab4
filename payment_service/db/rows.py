"""How nested values are kept in one text column, and rows that can't be read.

Owns the JSON of references, failures, actions and profiles. Called by the
other db modules. Empty text stands for nothing.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from payment_service.domain import bindings, model
from servicekit import logs, storage

T = TypeVar("T")

_log = logs.get_logger(__name__)


def readable(
    found: Iterable[storage.Row], read: Callable[[storage.Row], T], *, table: str, id_at: int
) -> list[T]:
    """Returns what *read* makes of rows, without those it can't read.

    A newer version may have written them before it was replaced by this one: whoever takes
    many at once must not stop at them. The id is in the column *id_at*.
    """
    made: list[T] = []
    for row in found:
        try:
            made.append(read(row))
        except (ValueError, LookupError, TypeError) as problem:
            _log.error(
                "a row can't be read, and waits for a version that can",
                table=table,
                id=row[id_at],
                problem=type(problem).__name__,
            )
    return made


def dump_map(values: Mapping[str, str]) -> str:
    """Returns string pairs as text."""
    return json.dumps(dict(values), separators=(",", ":")) if values else ""


def load_map(text: str) -> Mapping[str, str]:
    """Returns what `dump_map` wrote."""
    loaded: dict[str, str] = json.loads(text) if text else {}
    return loaded


def dump_failure(failure: model.Failure | None) -> str:
    """Returns a failure as text."""
    if failure is None:
        return ""
    return json.dumps(
        [int(failure.kind), failure.reason, failure.provider_code, failure.retryable_later]
    )


def load_failure(text: str) -> model.Failure | None:
    """Returns what `dump_failure` wrote."""
    if not text:
        return None
    kind, reason, provider_code, retryable_later = json.loads(text)
    return model.Failure(
        kind=model.FailureKind(kind),
        reason=reason,
        provider_code=provider_code,
        retryable_later=retryable_later,
    )


def dump_action(action: model.CustomerAction | None) -> str:
    """Returns a customer action as text."""
    if action is None:
        return ""
    return json.dumps([action.redirect_url, action.client_secret, action.expire_us])


def load_action(text: str) -> model.CustomerAction | None:
    """Returns what `dump_action` wrote."""
    if not text:
        return None
    redirect_url, client_secret, expire_us = json.loads(text)
    return model.CustomerAction(
        redirect_url=redirect_url, client_secret=client_secret, expire_us=expire_us
    )


def dump_profile(profile: model.Profile) -> str:
    """Returns a customer's profile as text."""
    return json.dumps(
        [profile.name, profile.email, profile.phone, profile.user_id, dict(profile.metadata)]
    )


def load_profile(text: str) -> model.Profile:
    """Returns what `dump_profile` wrote."""
    name, email, phone, user_id, metadata = json.loads(text)
    return model.Profile(name=name, email=email, phone=phone, user_id=user_id, metadata=metadata)


def dump_options(options: bindings.Options) -> str:
    """Returns a binding's options as text; equal options give equal text."""
    content: dict[str, object] = {}
    if options.limits:
        content["limits"] = {
            currency: [each.min_minor, each.max_minor, each.daily_minor]
            for currency, each in sorted(options.limits.items())
        }
    if options.zone != bindings.UTC:
        content["zone"] = options.zone
    if options.off:
        content["off"] = sorted(options.off)
    if options.off_methods:
        content["off_methods"] = sorted(options.off_methods)
    if options.disabled:
        content["disabled"] = True
    return json.dumps(content, separators=(",", ":")) if content else ""


def load_options(text: str) -> bindings.Options:
    """Returns what `dump_options` wrote."""
    if not text:
        return bindings.Options()
    content = json.loads(text)
    return bindings.Options(
        limits={
            currency: bindings.Limits(min_minor=least, max_minor=most, daily_minor=daily)
            for currency, (least, most, daily) in content.get("limits", {}).items()
        },
        zone=content.get("zone", bindings.UTC),
        off=frozenset(model.Kind(number) for number in content.get("off", ())),
        off_methods=frozenset(
            model.CaptureMethod(number) for number in content.get("off_methods", ())
        ),
        disabled=content.get("disabled", False),
    )
