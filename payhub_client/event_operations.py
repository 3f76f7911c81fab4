"""What those who run the gateway see and do: open streams, erasure.

Owns the shape of these calls for Python. Called by operators' tools through
`Client.events.operations`. Needs the admin scope.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.events.v1 import event_admin_service_pb2, event_admin_service_pb2_grpc

from payhub_client import calls, contract, errors

if TYPE_CHECKING:
    from payhub.events.v1.event_admin_service_pb2_grpc import EventAdminServiceAsyncStub

_FILE, _SERVICE = event_admin_service_pb2.DESCRIPTOR, "EventAdminService"
_STREAMS = contract.method(_FILE, _SERVICE, "ListStreams")
_ERASE = contract.method(_FILE, _SERVICE, "EraseEntity")


@dataclass(slots=True, kw_only=True)
class EventOperations:
    """Runs the gateway."""

    caller: calls.Caller
    _made: "EventAdminServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def streams_page(
        self,
        *,
        tenant_id: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> event_admin_service_pb2.ListStreamsResponse:
        """Return one page of the streams open at the gateway that answers, oldest first.

        `page_size` is 1 to 1000; 0 means 100. Without `tenant_id` those of all tenants.
        """
        request = event_admin_service_pb2.ListStreamsRequest(
            tenant_id=tenant_id, page_size=page_size, page_token=page_token
        )
        return await self.caller.call(
            self._stub.ListStreams, _STREAMS, request, timeout_s=timeout_s
        )

    async def erase_entity(
        self,
        *,
        tenant_id: str,
        entity_type: str,
        entity_id: str,
        reason: str,
        timeout_s: float | None = None,
    ) -> int:
        """Erase the data of one entity's events for good; return how many that were.

        Places, versions, types and times stay. `reason` is kept for the record and must
        hold no personal data. `timeout_s` is that of each of the calls it may take.

        Raises NotFound if the log has no event of the entity and knows of none that it had; of
        events without versions that retention deleted before it knows nothing.
        """
        request = event_admin_service_pb2.EraseEntityRequest(
            tenant_id=tenant_id, entity_type=entity_type, entity_id=entity_id, reason=reason
        )
        erased = 0
        while True:
            response = await self.caller.call(
                self._stub.EraseEntity, _ERASE, request, timeout_s=timeout_s
            )
            erased += response.erased_events
            if response.unknown_entity and not erased:
                entity = f"{entity_type} {entity_id} of {tenant_id}"
                text = f"the log has no event of {entity}, and knows of none that it had"
                raise errors.NotFound(text, reason="RESOURCE_NOT_FOUND")
            if response.done:
                return erased

    @property
    def _stub(self) -> "EventAdminServiceAsyncStub":
        if self._made is None:
            channel = self.caller.link.channel
            self._made = event_admin_service_pb2_grpc.EventAdminServiceStub(channel)
        return self._made
