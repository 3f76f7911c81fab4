"""A caller's trace goes on to the provider, and no further than its own call."""

from typing import Any

import pytest
from payhub.provider.v1 import payment_provider_service_pb2 as pb

from tests.integration.payment_service import inside, paying, rig

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traced(paying.Payer):
    """A provider that notes which trace each call belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.traces: list[str] = []

    async def AuthorizePayment(
        self, request: pb.AuthorizePaymentRequest, context: Any
    ) -> pb.AuthorizePaymentResponse:
        """Takes the money."""
        self.traces.append(dict(context.invocation_metadata()).get("traceparent", ""))
        return await super().AuthorizePayment(request, context)


async def test_the_trace_of_a_call_goes_on_to_the_provider(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its id is in the line of the call, too; calls without one, or with other text, have none."""
    async with Traced() as bank, inside.running(database_url, bank.target) as service:
        await inside.connected(service)
        caller = service.caller
        key = caller.metadata
        for sent in (TRACE, "", "no trace\r"):
            caller.metadata = (*key, ("traceparent", sent.strip())) if sent else key
            assert rig.state(await caller.create()) == "SUCCEEDED"
        assert bank.traces == [TRACE, "", ""]
    lines = [line for line in capfd.readouterr().err.splitlines() if "CreatePayment" in line]
    assert ["0af7651916cd43dd8448eb211c80319c" in line for line in lines] == [True, False, False]
