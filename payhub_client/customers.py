"""Customers: create, get, update.

Owns the shape of these calls for Python. Called by services through `Client.customers`.
Never retries, times or maps errors itself: `calls` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.protobuf import field_mask_pb2
from payhub.payments.v1 import customer_service_pb2, customer_service_pb2_grpc

from payhub_client import calls, contract, errors

if TYPE_CHECKING:
    from payhub.payments.v1.customer_service_pb2_grpc import CustomerServiceAsyncStub

_FILE, _SERVICE = customer_service_pb2.DESCRIPTOR, "CustomerService"
_CREATE = contract.method(_FILE, _SERVICE, "CreateCustomer")
_GET = contract.method(_FILE, _SERVICE, "GetCustomer")
_UPDATE = contract.method(_FILE, _SERVICE, "UpdateCustomer")


@dataclass(slots=True, kw_only=True)
class Customers:
    """Keeps the people who pay. Keys, deadlines and errors are as in `Payments`."""

    caller: calls.Caller
    _made: "CustomerServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def create(
        self,
        *,
        name: str = "",
        email: str = "",
        phone: str = "",
        user_id: str = "",
        metadata: Mapping[str, str] | None = None,
        provider: str = "",
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> customer_service_pb2.Customer:
        """Create a customer here and at `provider` (empty means the default one)."""
        key = calls.key_of(idempotency_key)
        request = customer_service_pb2.CreateCustomerRequest(
            idempotency_key=key,
            profile=customer_service_pb2.CustomerProfile(
                name=name,
                email=email,
                phone=phone,
                user_id=user_id,
                metadata=dict(metadata or {}),
            ),
            provider=provider,
        )
        response = await self.caller.call(
            self._stub.CreateCustomer, _CREATE, request, timeout_s=timeout_s, key=key
        )
        return response.customer

    async def get(
        self, customer_id: str, *, timeout_s: float | None = None
    ) -> customer_service_pb2.Customer:
        """Return a customer as it stands."""
        request = customer_service_pb2.GetCustomerRequest(customer_id=customer_id)
        response = await self.caller.call(
            self._stub.GetCustomer, _GET, request, timeout_s=timeout_s
        )
        return response.customer

    async def update(
        self,
        customer_id: str,
        *,
        name: str | None = None,
        email: str | None = None,
        phone: str | None = None,
        user_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> customer_service_pb2.Customer:
        """Change what is given, here and at the provider; None leaves a value as it is.

        An empty text clears the value; `metadata` replaces the whole map. Giving a value
        that it has already sends the profile to the provider once more.
        """
        changes: dict[str, str | None] = {
            "name": name,
            "email": email,
            "phone": phone,
            "user_id": user_id,
        }
        texts = {path: text for path, text in changes.items() if text is not None}
        paths = [*texts, *(["metadata"] if metadata is not None else [])]
        if not paths:
            text = "give at least one value to change"
            raise errors.InvalidRequest(text)
        key = calls.key_of(idempotency_key)
        request = customer_service_pb2.UpdateCustomerRequest(
            idempotency_key=key,
            customer_id=customer_id,
            profile=customer_service_pb2.CustomerProfile(**texts, metadata=dict(metadata or {})),
            update_mask=field_mask_pb2.FieldMask(paths=paths),
        )
        response = await self.caller.call(
            self._stub.UpdateCustomer, _UPDATE, request, timeout_s=timeout_s, key=key
        )
        return response.customer

    @property
    def _stub(self) -> "CustomerServiceAsyncStub":
        if self._made is None:
            self._made = customer_service_pb2_grpc.CustomerServiceStub(self.caller.link.channel)
        return self._made
