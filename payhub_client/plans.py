"""Plans: create, get, list, archive, add a price at one more provider.

Owns the shape of these calls for Python. Called by services through `Client.plans`. Never
retries, times or maps errors itself: `calls` does.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.payments.v1 import plan_service_pb2 as pb
from payhub.payments.v1 import plan_service_pb2_grpc

from payhub_client import calls, contract, pages, requests

if TYPE_CHECKING:
    from payhub.payments.v1.plan_service_pb2_grpc import PlanServiceAsyncStub

_SERVICE = "PlanService"
_CREATE = contract.method(pb.DESCRIPTOR, _SERVICE, "CreatePlan")
_GET = contract.method(pb.DESCRIPTOR, _SERVICE, "GetPlan")
_LIST = contract.method(pb.DESCRIPTOR, _SERVICE, "ListPlans")
_ARCHIVE = contract.method(pb.DESCRIPTOR, _SERVICE, "ArchivePlan")
_ADD_PRICE = contract.method(pb.DESCRIPTOR, _SERVICE, "AddPlanPrice")


@dataclass(slots=True, kw_only=True)
class Plans:
    """Keeps what can be subscribed to. Keys, deadlines and errors are as in `Payments`.

    A plan is returned as it stands: read the `sync_state` of each of its `prices`.
    """

    caller: calls.Caller
    _made: "PlanServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def create(  # noqa: PLR0913  # the request's own fields
        self,
        *,
        name: str,
        amount_minor: int,
        currency: str,
        interval: "pb.Plan.Interval",
        interval_count: int = 1,
        trial_days: int = 0,
        description: str = "",
        provider: str = "",
        provider_price_id: str = "",
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.Plan:
        """Create a plan and its price at a provider.

        Args:
            name: for people.
            amount_minor: what one period costs, in the smallest unit of `currency`.
            currency: ISO 4217 code, upper case.
            interval: unit of the period, such as `Plan.INTERVAL_MONTH`.
            interval_count: how many units one period has; three years at most in all.
            trial_days: days before the first payment of new subscriptions, 0 to 730.
            description: text for people.
            provider: plugin id; empty means the default provider.
            provider_price_id: a price that exists there already; else one is made.
            metadata: anything else, at most 32 entries.
            idempotency_key: one per intended plan.
            timeout_s: overall time, in seconds.
        """
        key = calls.key_of(idempotency_key)
        request = pb.CreatePlanRequest(
            idempotency_key=key,
            name=name,
            description=description,
            amount=requests.money(amount_minor, currency),
            interval=interval,
            interval_count=requests.count(interval_count, field="interval_count"),
            trial_days=requests.count(trial_days, field="trial_days"),
            provider=provider,
            provider_price_id=provider_price_id,
            metadata=dict(metadata or {}),
        )
        response = await self.caller.call(
            self._stub.CreatePlan, _CREATE, request, timeout_s=timeout_s, key=key
        )
        return response.plan

    async def get(self, plan_id: str, *, timeout_s: float | None = None) -> pb.Plan:
        """Return a plan as it stands."""
        request = pb.GetPlanRequest(plan_id=plan_id)
        response = await self.caller.call(self._stub.GetPlan, _GET, request, timeout_s=timeout_s)
        return response.plan

    async def list_page(
        self,
        *,
        include_archived: bool = False,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListPlansResponse:
        """Return one page, newest first, of at most `page_size` (1 to 200; 0 means 50).

        `page_token` is the `next_page_token` of the page before, asked for with the same
        arguments.
        """
        request = pb.ListPlansRequest(
            page_size=page_size, page_token=page_token, include_archived=include_archived
        )
        return await self.caller.call(self._stub.ListPlans, _LIST, request, timeout_s=timeout_s)

    def list(self, *, include_archived: bool = False, page_size: int = 0) -> AsyncIterator[pb.Plan]:
        """Go through all plans, newest first, page by page."""
        return pages.through(
            lambda token: self.list_page(
                include_archived=include_archived, page_size=page_size, page_token=token
            ),
            lambda page: page.plans,
        )

    async def archive(
        self, plan_id: str, *, idempotency_key: str | None = None, timeout_s: float | None = None
    ) -> pb.Plan:
        """Let no new subscription use a plan; those that use it go on."""
        key = calls.key_of(idempotency_key)
        request = pb.ArchivePlanRequest(idempotency_key=key, plan_id=plan_id)
        response = await self.caller.call(
            self._stub.ArchivePlan, _ARCHIVE, request, timeout_s=timeout_s, key=key
        )
        return response.plan

    async def add_price(
        self,
        plan_id: str,
        *,
        provider: str = "",
        provider_price_id: str = "",
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.Plan:
        """Make the price of a plan at one more provider, or again where that failed."""
        key = calls.key_of(idempotency_key)
        request = pb.AddPlanPriceRequest(
            idempotency_key=key,
            plan_id=plan_id,
            provider=provider,
            provider_price_id=provider_price_id,
        )
        response = await self.caller.call(
            self._stub.AddPlanPrice, _ADD_PRICE, request, timeout_s=timeout_s, key=key
        )
        return response.plan

    @property
    def _stub(self) -> "PlanServiceAsyncStub":
        if self._made is None:
            self._made = plan_service_pb2_grpc.PlanServiceStub(self.caller.link.channel)
        return self._made
