"""Where an operator works who ends doubts.

Owns listing and settling them at a service in the test's own process, and its clock. Called by
the tests of operators' doubts. Never ends one by itself.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from payhub.admin.v1 import doubt_service_pb2 as pb
from payhub.admin.v1 import doubt_service_pb2_grpc

from tests.integration.payment_service import inside, paying, records, rehearsing, rig


class Desk:
    """What an operator works with: a service whose resolver looks at no doubt for an hour."""

    def __init__(self, service: inside.InProcess, clock: paying.Clock, url: str) -> None:
        self.service = service
        self.caller = service.caller
        self.clock = clock
        self.records = records.Records(url)
        self._stub = doubt_service_pb2_grpc.DoubtServiceStub(service.caller.channel)

    async def list(self, **wanted: Any) -> pb.ListDoubtsResponse:
        """Returns doubts."""
        request = pb.ListDoubtsRequest(**wanted)
        answer: pb.ListDoubtsResponse = await self.caller.call(self._stub.ListDoubts, request)
        return answer

    async def one(self, payment: rig.Payment) -> pb.Doubt:
        """Returns the only doubt of a payment."""
        (found,) = (await self.list(entity_id=payment.id)).doubts
        return found

    async def settle(self, doubt: pb.Doubt, finding: Any, **more: Any) -> rig.Payment:
        """Ends a doubt as it was listed."""
        values = {
            "operation_id": doubt.operation_id,
            "version": doubt.version,
            "finding": finding,
            "reason": "seen in the dashboard, ticket 4711",
        }
        request = pb.SettleDoubtRequest(**(values | more))
        answer = await self.caller.call(self._stub.SettleDoubt, request)
        payment: rig.Payment = answer.payment
        return payment


@contextlib.asynccontextmanager
async def opened(database_url: str, provider: str) -> AsyncIterator[Desk]:
    """Opens a desk at a service on an empty database, whose provider is at an address."""
    clock = paying.Clock()
    async with inside.running(
        database_url,
        provider,
        clock=clock,
        wrap=rehearsing.Rehearsing,
        resolver_doubt_first_s=3600.0,
        resolver_longest_s=3600.0,
    ) as service:
        await inside.connected(service)
        found = Desk(service, clock, database_url)
        with contextlib.closing(found.records):
            yield found
