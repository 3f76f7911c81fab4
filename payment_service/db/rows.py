"""How nested values are kept in one text column.

Owns the JSON of references, failures, actions and profiles. Called by the
other db modules. Empty text stands for nothing.
"""

import json
from collections.abc import Mapping

from payment_service.domain import model


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
