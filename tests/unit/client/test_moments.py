"""Moments in requests."""

import datetime

import pytest

from payhub_client import bindings, errors, requests


def test_a_moment_without_a_time_zone_is_refused_wherever_it_is_given() -> None:
    """Nobody guesses whose clock it is, least of all until when an old secret is good."""
    naive = datetime.datetime.fromisoformat("2026-01-31T12:00")
    with pytest.raises(errors.InvalidRequest, match="time zone"):
        requests.timestamp(naive, field="created_from")
    for secret in (
        bindings.Secret(slot="api_key", value=b"x", previous_until=naive),
        bindings.Secret(slot="api_key", value=b"x", expires=naive),
    ):
        with pytest.raises(errors.InvalidRequest, match="time zone"):
            secret.message()
    zone = datetime.timezone(datetime.timedelta(hours=2))
    known = bindings.Secret(slot="s", value=b"x", previous_until=naive.replace(tzinfo=zone))
    assert known.message().previous_expire_time.ToDatetime().hour == 10
