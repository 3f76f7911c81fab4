"""The unary side of the event log, and payloads."""

from typing import Any

import pytest

import payhub_client
from payhub_client import errors
from tests.integration.client import fake_log

FakeLog = fake_log.FakeLog


async def test_history_is_walked_across_empty_pages(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """`query` goes on while a token is given, although a page may be empty."""
    log.append(5)
    assert [each.position async for each in client.events.query(page_size=2)] == [2, 4, 6, 8, 10]
    later = [each.position async for each in client.events.query(after="e1:6")]
    assert later == [8, 10]
    found = await client.events.get("evt_00000002")
    assert found.cursor == "e1:4"
    assert (await client.events.log_info()).head_position == 10
    with pytest.raises(errors.NotFound):
        await client.events.get("evt_99999999")


async def test_payloads_are_decoded_by_their_schema(
    client: payhub_client.Client, log: FakeLog
) -> None:
    """`payload` returns the typed message, and refuses what it does not know."""
    log.append(1)
    event = (await client.events.get("evt_00000001")).event
    decoded = payhub_client.events.payload(event)
    assert isinstance(decoded, payhub_client.PaymentEvent)
    assert decoded.payment.amount.amount_minor == 1250
    unknown = payhub_client.events.UnknownPayloadError
    wrong: list[dict[str, Any]]
    wrong = [{"data_schema": "user.v1.Made"}, {"content_type": "application/json"}]
    for change in wrong:
        other = payhub_client.Event()
        other.CopyFrom(event)
        other.MergeFrom(payhub_client.Event(**change))
        with pytest.raises(unknown):
            payhub_client.events.payload(other)
    event.data = b"\xff"
    with pytest.raises(unknown):
        payhub_client.events.payload(event)
