"""What a binding's options let through, and which day an operation counts for."""

import dataclasses
import datetime
import itertools

import pytest

from payment_service.domain import bindings, model
from tests.unit.payment_service import build

K = model.Kind
LIMITS = bindings.Limits(min_minor=100, max_minor=5_000, daily_minor=8_000)
LIMITED = bindings.Options(limits={"EUR": LIMITS})
MONEY_IN = (K.AUTHORIZE, K.SALE)
FOLLOW_UPS = (K.CAPTURE, K.VOID, K.REFUND)
CUSTOMERS = (K.CREATE_CUSTOMER, K.UPDATE_CUSTOMER)


def reason(options: bindings.Options, kind: model.Kind, amount: int = 1, code: str = "EUR") -> str:
    """Returns why an operation is not let through, '' if it is."""
    refused = bindings.judge(options, kind, amount, code)
    return refused.reason if refused else ""


@pytest.mark.parametrize("kind", list(K))
def test_empty_options_let_everything_through(kind: model.Kind) -> None:
    """No restriction is the default."""
    assert not bindings.Options().restricts
    assert reason(bindings.Options(), kind, 10**18) == ""


@pytest.mark.parametrize("kind", MONEY_IN)
@pytest.mark.parametrize(
    ("amount", "limit"), [(99, "min"), (100, ""), (5_000, ""), (5_001, "max"), (1, "min")]
)
def test_limits_hold_from_min_to_max_inclusive(kind: model.Kind, amount: int, limit: str) -> None:
    """The refusal names the limit, its value and what was asked for."""
    refused = bindings.judge(LIMITED, kind, amount, "EUR")
    if not limit:
        assert refused is None
        return
    assert refused is not None
    assert refused.reason == "LIMIT_EXCEEDED"
    assert refused.metadata == {
        "limit": limit,
        "limit_minor": "100" if limit == "min" else "5000",
        "amount_minor": str(amount),
        "currency_code": "EUR",
    }


def test_limits_hold_for_their_currency_and_for_money_in_only() -> None:
    """A capture or refund is part of what was let through before."""
    assert reason(LIMITED, K.SALE, 1, "USD") == ""
    assert [reason(LIMITED, kind, 10**9) for kind in FOLLOW_UPS + CUSTOMERS] == [""] * 5


def test_limits_hold_for_all_that_an_increment_makes() -> None:
    """The most counts for the sum, the day for what is added, and the least not at all."""
    most = LIMITS.max_minor
    assert bindings.judge(LIMITED, K.INCREMENT, 1, "EUR") is None
    assert bindings.judge(LIMITED, K.INCREMENT, most, "EUR") is None
    refused = bindings.judge(LIMITED, K.INCREMENT, most + 1, "EUR")
    assert refused is not None
    assert (refused.reason, refused.metadata["limit"]) == ("LIMIT_EXCEEDED", "max")
    counted = bindings.counted("b", LIMITED, K.INCREMENT, 500, "EUR", 0)
    assert counted is not None
    assert counted.amount_minor == 500


@pytest.mark.parametrize("kind", list(K))
def test_an_operation_can_be_switched_off(kind: model.Kind) -> None:
    """Only that one, and the refusal names it as the contract does."""
    options = bindings.Options(off=frozenset({kind}))
    assert options.restricts
    for other in K:
        refused = bindings.judge(options, other, 1, "EUR")
        assert (refused is not None) == (other is kind)
        if refused is not None:
            assert refused.reason == "FEATURE_DISABLED"
            assert refused.metadata == {"feature": f"KIND_{kind.name}"}


def test_a_capture_method_can_be_switched_off() -> None:
    """Manual capture begins with an authorization, automatic capture with a sale."""
    manual = bindings.Options(off_methods=frozenset({model.CaptureMethod.MANUAL}))
    automatic = bindings.Options(off_methods=frozenset({model.CaptureMethod.AUTOMATIC}))
    assert [reason(manual, kind) for kind in MONEY_IN] == ["FEATURE_DISABLED", ""]
    assert [reason(automatic, kind) for kind in MONEY_IN] == ["", "FEATURE_DISABLED"]
    assert not any(reason(manual, kind) for kind in FOLLOW_UPS + CUSTOMERS)


def test_a_disabled_binding_ends_what_it_began() -> None:
    """It takes no new payments and customers; captures, voids and refunds go on."""
    disabled = bindings.Options(disabled=True)
    assert {reason(disabled, kind) for kind in MONEY_IN + CUSTOMERS} == {"FEATURE_DISABLED"}
    assert {reason(disabled, kind) for kind in FOLLOW_UPS} == {""}


def test_only_a_daily_limit_is_counted() -> None:
    """The hot path adds no statement for other limits, other currencies or follow-ups."""
    day = build.NOW_US
    once = bindings.Options(limits={"EUR": dataclasses.replace(LIMITS, daily_minor=0)})
    assert bindings.counted("b", once, K.SALE, 500, "EUR", day) is None
    assert bindings.counted("b", LIMITED, K.SALE, 500, "USD", day) is None
    assert bindings.counted("b", LIMITED, K.CAPTURE, 500, "EUR", day) is None
    counted = bindings.counted("b", LIMITED, K.SALE, 500, "EUR", day)
    assert counted is not None
    assert (counted.day, counted.limit_minor, counted.amount_minor) == ("2026-01-01", 8_000, 500)


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("UTC", "2026-03-29T00:59:59+00:00", "2026-03-29"),
        ("Europe/Berlin", "2026-03-28T22:59:59+00:00", "2026-03-28"),
        ("Europe/Berlin", "2026-03-28T23:00:00+00:00", "2026-03-29"),
        # Summer time began that night: this day began an hour earlier.
        ("Europe/Berlin", "2026-03-29T21:59:59+00:00", "2026-03-29"),
        ("Europe/Berlin", "2026-03-29T22:00:00+00:00", "2026-03-30"),
        ("Pacific/Kiritimati", "2026-12-31T10:00:00+00:00", "2027-01-01"),
        ("America/Los_Angeles", "2026-12-31T10:00:00+00:00", "2026-12-31"),
    ],
)
def test_the_day_is_that_of_the_bindings_zone(zone: str, moment: str, day: str) -> None:
    """Also around changes of summer time and year."""
    now_us = round(datetime.datetime.fromisoformat(moment).timestamp()) * 1_000_000
    assert bindings.day(zone, now_us) == day


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "a" * 300])
def test_what_is_no_zone_is_known_as_such(zone: str) -> None:
    """Before it is stored, and without reading other files."""
    assert not bindings.is_zone(zone)


def test_the_generation_on_the_wire_never_falls() -> None:
    """Whether a tenant uses the shared binding, its own, or the shared one again."""

    def binding(updated_us: int) -> bindings.Binding:
        return bindings.Binding(
            id="b",
            tenant_id="t",
            plugin_id="mock",
            generation=1,
            revision=1,
            updated_us=updated_us,
        )

    # Each change is later than all before; a deleted own row keeps the time it went.
    story = [(None, 0), (None, 1), (None, 2), (3, 2), (4, 2), (4, 5), (6, 5), (7, 5), (7, 8)]
    sent = [
        bindings.wire_generation(binding(own) if own else None, binding(shared) if shared else None)
        for own, shared in story
    ]
    assert sent[0] == 0
    assert all(later > sooner for sooner, later in itertools.pairwise(sent))


def test_an_amount_beyond_what_is_left_of_a_day_is_told_with_what_is_left() -> None:
    """The refusal carries everything the contract promises of a daily limit."""
    berlin = dataclasses.replace(LIMITED, zone="Europe/Berlin")
    counted = bindings.counted("b", berlin, K.SALE, 2_500, "EUR", build.NOW_US)
    assert counted is not None
    refused = bindings.over_the_day(counted, 7_000)
    assert "1000 are left" in refused.message
    assert refused.metadata == {
        "limit": "daily",
        "limit_minor": "8000",
        "used_minor": "7000",
        "amount_minor": "2500",
        "currency_code": "EUR",
        "day": "2026-01-01",
        "time_zone": "Europe/Berlin",
    }
