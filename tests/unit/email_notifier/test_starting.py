"""How the notifier begins where the gateway answers badly."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from payhub_client import errors
from subscribers.email_notifier import notifier


@pytest.mark.parametrize("kind", [errors.Unavailable, errors.OutcomeUnknown])
async def test_a_gateway_that_is_not_heard_is_asked_again(kind: type[errors.PayhubError]) -> None:
    """The consumer is made by repeating the call, whether or not the first one made it."""
    stop = asyncio.Event()
    asked = 0

    async def create(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        stop.set()
        raise kind("no answer", retry="same_key")

    told = SimpleNamespace(
        consumer="mails", event_types=("payment.succeeded",), start="newest", max_deliveries=3,
        retry_backoff_s=(1.0,),
    )  # fmt: skip
    client = SimpleNamespace(consumers=SimpleNamespace(create=create))
    working = notifier.Notifier(
        told=cast("Any", told),
        client=cast("Any", client),
        composer=cast("Any", None),
        mailer=cast("Any", None),
        mails=cast("Any", None),
    )
    await asyncio.wait_for(working.run(stop), 10)
    assert asked == 1
