"""The day that any moment counts for, and any options that come back from storage."""

import datetime
import zoneinfo

from hypothesis import given
from hypothesis import strategies as st

from payment_service.db import rows
from payment_service.domain import bindings, model

K = model.Kind


@given(
    st.sampled_from(["UTC", "Asia/Kathmandu", "Europe/Lisbon", "America/St_Johns"]),
    st.integers(min_value=0, max_value=4 * 10**15),
)
def test_days_follow_the_zone_database(zone: str, now_us: int) -> None:
    """For every moment, as the standard library has it."""
    found = datetime.datetime.fromtimestamp(now_us // 1_000_000, zoneinfo.ZoneInfo(zone))
    assert bindings.day(zone, now_us) == f"{found:%Y-%m-%d}"


@given(
    st.builds(
        bindings.Options,
        limits=st.dictionaries(
            st.sampled_from(["EUR", "JPY", "KWD"]),
            st.builds(
                bindings.Limits,
                min_minor=st.integers(0, 2**63 - 1),
                max_minor=st.integers(0, 2**63 - 1),
                daily_minor=st.integers(0, 2**63 - 1),
            ),
        ),
        zone=st.sampled_from(["UTC", "Europe/Berlin"]),
        off=st.frozensets(st.sampled_from(K)),
        off_methods=st.frozensets(st.sampled_from(model.CaptureMethod)),
        disabled=st.booleans(),
    )
)
def test_options_survive_storage(options: bindings.Options) -> None:
    """What is read is what was written, with the types the judgement compares."""
    read = rows.load_options(rows.dump_options(options))
    assert read == options
    assert all(isinstance(kind, K) for kind in read.off)
