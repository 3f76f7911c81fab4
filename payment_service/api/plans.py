"""PlanService: see the contract.

Owns reading and answering its RPCs, and what the contract can't say of periods. Called by
gRPC. Never decides.
"""

from typing import Any

from payhub.payments.v1 import plan_service_pb2 as pb
from payhub.payments.v1 import plan_service_pb2_grpc

from payment_service.api import reading
from payment_service.db import mirrors
from payment_service.domain.mirrors import objects, plans
from payment_service.usecases.mirrors import beginning, telling
from payment_service.usecases.mirrors import plans as cases
from servicekit import errors


class PlanServicer(plan_service_pb2_grpc.PlanServiceServicer):
    """Serves plans."""

    def __init__(self, cases_: cases.Plans) -> None:
        self._cases = cases_

    async def CreatePlan(
        self, request: pb.CreatePlanRequest, context: Any
    ) -> pb.CreatePlanResponse:
        """Creates a plan and its price at a provider."""
        currency = reading.currency(request.amount, "amount")
        interval = objects.Interval(request.interval)
        count = request.interval_count or 1
        if plans.is_too_long(interval, count):
            raise errors.invalid_field(
                "interval_count",
                f"must make a period of at most three years and {plans.COUNT_MAX} units",
            )
        plan = plans.Plan(
            # Given by the use case.
            id="",
            tenant_id="",
            created_us=0,
            updated_us=0,
            name=request.name,
            description=request.description,
            amount_minor=request.amount.amount_minor,
            currency=currency,
            interval=interval,
            interval_count=count,
            trial_days=request.trial_days,
            metadata=dict(request.metadata),
        )
        wanted = cases.Create(
            plan=plan,
            provider=request.provider,
            provider_price_id=request.provider_price_id,
            request=reading.keyed("CreatePlan", request),
        )
        shown = await self._cases.create(reading.caller(), wanted)
        return pb.CreatePlanResponse(plan=_message(shown))

    async def GetPlan(self, request: pb.GetPlanRequest, context: Any) -> pb.GetPlanResponse:
        """Returns a plan."""
        shown = await self._cases.get(reading.caller(), request.plan_id)
        return pb.GetPlanResponse(plan=_message(shown))

    async def ListPlans(self, request: pb.ListPlansRequest, context: Any) -> pb.ListPlansResponse:
        """Returns one page of plans."""
        start = reading.page_start(request, str)
        size = reading.page_size(request)
        wanted = mirrors.ListFilter(
            states=() if request.include_archived else (int(plans.State.ACTIVE),),
            before_id=start[0] if start else "",
        )
        found = await self._cases.list_newest_first(reading.caller(), wanted, size + 1)
        shown, token = reading.page(request, found, telling.plan)
        return pb.ListPlansResponse(plans=shown, next_page_token=token)

    async def ArchivePlan(
        self, request: pb.ArchivePlanRequest, context: Any
    ) -> pb.ArchivePlanResponse:
        """Lets no new subscription use a plan."""
        keyed = reading.keyed("ArchivePlan", request)
        shown = await self._cases.archive(reading.caller(), keyed, request.plan_id)
        return pb.ArchivePlanResponse(plan=_message(shown))

    async def AddPlanPrice(
        self, request: pb.AddPlanPriceRequest, context: Any
    ) -> pb.AddPlanPriceResponse:
        """Makes the price of a plan at one more provider."""
        wanted = cases.AddPrice(
            plan_id=request.plan_id,
            provider=request.provider,
            provider_price_id=request.provider_price_id,
            request=reading.keyed("AddPlanPrice", request),
        )
        shown = await self._cases.add_price(reading.caller(), wanted)
        return pb.AddPlanPriceResponse(plan=_message(shown))


def _message(shown: beginning.Shown) -> pb.Plan:
    return telling.plan(shown.entity, shown.operations)
