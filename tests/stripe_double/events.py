"""The API of events: what happened in the last 30 days.

Owns their filters. Made by the store with each change, delivered by webhooks.
"""

import fnmatch
from typing import Any

from tests.stripe_double import calls, clock, errors

Json = dict[str, Any]

RETENTION_S = 30 * clock.DAY_S


def retrieve(call: calls.Call) -> Json:
    """GET /v1/events/{id}."""
    call.params.only(())
    event = call.world.get(call.account, "event", call.path["id"])
    if event["created"] < call.now() - RETENTION_S:
        raise errors.no_such("event", event["id"])
    return event


def list_all(call: calls.Call) -> Json:
    """GET /v1/events; a type may hold asterisks."""
    params = call.params.only({*calls.PAGING, "created", "type", "types", "delivery_success"})
    one, several = params.text("type"), params.texts("types")
    if one is not None and several:
        raise errors.bad_parameter("You may only specify one of: type, types.", "types")
    patterns = [one] if one is not None else several
    oldest = call.now() - RETENTION_S
    return call.page(
        [
            event
            for event in call.world.all(call.account, "event")
            if event["created"] >= oldest
            and params.within("created", event["created"])
            and (not patterns or any(fnmatch.fnmatchcase(event["type"], one) for one in patterns))
        ]
    )


ROUTES = [
    ("GET", "/v1/events", list_all),
    ("GET", "/v1/events/{id}", retrieve),
]
