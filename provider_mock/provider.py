"""The simulated payment service provider.

Owns carrying out what a scenario asks for around one ledger transaction per
operation. Called by the SDK's servicer. Never keeps anything outside the
ledger, so that a kill at any point leaves one effect or none.
"""

import dataclasses
import json
import secrets
from collections.abc import Sequence
from typing import ClassVar

from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_mock import (
    answers,
    currencies,
    entries,
    keeping,
    ledger,
    scenarios,
    schema,
    settlement,
)
from provider_mock.billing import due
from provider_mock.objects import model, store
from provider_sdk import errors, provider
from servicekit import ids

METHOD_PREFIX = "mpm_"
WEBHOOK_SECRET = "webhook_secret"

MockConfig = keeping.MockConfig
Call = keeping.Call


class MockProvider(keeping.Keeper):
    """A provider that does what the instrument says.

    Args:
        config: Settings of the process.
        time: The provider's own time.
    """

    plugin_id = "mock"
    plugin_version = "0.1.0"
    name = "Simulated provider"
    description = "Plays a payment provider on a ledger of its own; no money moves."
    author = "Payhub"
    config_model = MockConfig
    capabilities = frozenset(
        {
            capability_pb2.CAPABILITY_MANUAL_CAPTURE,
            capability_pb2.CAPABILITY_SALE,
            capability_pb2.CAPABILITY_PARTIAL_CAPTURE,
            capability_pb2.CAPABILITY_MULTIPLE_CAPTURE,
            capability_pb2.CAPABILITY_VOID,
            capability_pb2.CAPABILITY_REFUND,
            capability_pb2.CAPABILITY_PARTIAL_REFUND,
            capability_pb2.CAPABILITY_CUSTOMER_ACTION,
            capability_pb2.CAPABILITY_CUSTOMERS,
            capability_pb2.CAPABILITY_UPSTREAM_IDEMPOTENCY,
            capability_pb2.CAPABILITY_OPERATION_LOOKUP,
            capability_pb2.CAPABILITY_OVERLAPPING_SECRETS,
        }
    )
    currencies = currencies.CODES
    secret_slots: ClassVar[Sequence[provider.SecretSlot]] = (
        provider.SecretSlot(
            slot="api_key", description="Any text; the simulation ignores it.", required=False
        ),
        provider.SecretSlot(
            slot=WEBHOOK_SECRET,
            description="Signs webhooks: `whsec_` and base64, or any text.",
            required=False,
        ),
    )
    # The ledger forgets nothing.
    upstream_idempotency_retention_s = 10 * 365 * 86_400.0

    async def authorize(self, request: pps.AuthorizePaymentRequest, call: Call) -> provider.Result:
        """Does what the token says, or the one of the kept method that is named."""
        method, scenario = await self._instrument(request, call)
        alone = request.off_session
        kind = scenarios.Kind.BILL if alone else scenarios.Kind.AUTHORIZE
        outcome = self._outcome(call, kind, scenario)
        if outcome.state == "ACTION_REQUIRED" and not call.customer_action_allowed:
            reason = operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED
            outcome = scenarios.Outcome(state="DECLINED", reason=reason)
        entry = self._entry(
            request,
            call,
            object_id=ids.new_id("mpay"),
            reference=request.payment_id,
            amount_minor=request.amount.amount_minor,
            currency=request.amount.currency_code,
            details=_kept(request, method, scenario) if request.save_payment_method else "",
        )
        entry = dataclasses.replace(
            entry,
            customer_id=request.provider_customer_id,
            method_id=method.object_id if method is not None else "",
        )
        action = self._action(entry.now_us) if outcome.state == "ACTION_REQUIRED" else None
        text = scenario.text if scenario is not None else "approve"
        sale = request.capture_method == pps.CAPTURE_METHOD_AUTOMATIC
        return await self._record(
            lambda conn: ledger.authorize(
                conn, entry, outcome, scenario=text, sale=sale, action=action
            ),
            call,
        )

    async def _instrument(
        self, request: pps.AuthorizePaymentRequest, call: Call
    ) -> tuple[store.Kept | None, scenarios.Scenario | None]:
        """Returns the kept method that a request names, if it does, and what decides."""
        token = request.payment_method
        if not token.startswith(METHOD_PREFIX):
            return None, scenarios.of_token(token)
        binding_id = call.binding.binding_id
        found = await self._db.read(lambda conn: store.find(conn, token, binding_id))
        customer_id = request.provider_customer_id
        if found is None or found.state != "ATTACHED" or customer_id not in ("", found.customer_id):
            return None, None
        return found, scenarios.parse(store.body(found, model.Method).scenario)

    async def capture(
        self, request: pps.CapturePaymentRequest, call: Call
    ) -> operation_pb2.Operation:
        """Does what the payment's token says of captures."""
        entry = self._entry(
            request,
            call,
            object_id=request.provider_payment_id,
            amount_minor=request.amount.amount_minor,
            currency=request.amount.currency_code,
            final=request.final,
        )
        return await self._record(lambda conn: ledger.capture(conn, entry), call)

    async def void(self, request: pps.VoidPaymentRequest, call: Call) -> operation_pb2.Operation:
        """Does what the payment's token says of voids."""
        entry = self._entry(
            request,
            call,
            object_id=request.provider_payment_id,
            target_id=request.target_operation_id,
        )
        return await self._record(lambda conn: ledger.void(conn, entry), call)

    async def refund(
        self, request: pps.RefundPaymentRequest, call: Call
    ) -> operation_pb2.Operation:
        """Does what the payment's token says of refunds."""
        entry = self._entry(
            request,
            call,
            object_id=request.provider_payment_id,
            amount_minor=request.amount.amount_minor,
            currency=request.amount.currency_code,
        )
        return await self._record(lambda conn: ledger.refund(conn, entry), call)

    async def create_customer(
        self, request: pps.CreateCustomerRequest, call: Call
    ) -> operation_pb2.Operation:
        """Does what the name or mail address says."""
        entry = self._entry(
            request,
            call,
            object_id=ids.new_id("mcus"),
            reference=request.details.customer_id,
            details=_details(request.details),
        )
        outcome = self._customer_outcome(call, scenarios.Kind.CREATE, request.details)
        return await self._record(lambda conn: ledger.create_customer(conn, entry, outcome), call)

    async def update_customer(
        self, request: pps.UpdateCustomerRequest, call: Call
    ) -> operation_pb2.Operation:
        """Does what the new name or mail address says of updates."""
        entry = self._entry(
            request,
            call,
            object_id=request.provider_customer_id,
            reference=request.details.customer_id,
            details=_details(request.details),
        )
        outcome = self._customer_outcome(call, scenarios.Kind.UPDATE, request.details)
        return await self._record(lambda conn: ledger.update_customer(conn, entry, outcome), call)

    async def get_operation(
        self, operation_id: str, binding: provider.Binding[MockConfig], *, timeout_s: float
    ) -> operation_pb2.Operation:
        """Says what the ledger holds; its NOT_FOUND is conclusive."""
        row = await self._db.read(lambda conn: settlement.operation(conn, operation_id))
        if row is None or row.binding_id != binding.binding_id:
            raise errors.NotFound(f"no operation {operation_id[:64]}")
        now_us = self.time.now_us()
        if row.due_us is not None and row.due_us <= now_us:
            row = await self.write(
                lambda conn: settlement.bring_up_to_date(conn, operation_id, now_us)
            )
            assert row is not None
        return answers.operation(row, action_url=self._action_url)

    async def settle_due(self) -> int:
        """Settles what is due; returns how many operations it was."""
        now_us = self.time.now_us()
        how = self._config.billing_rules()
        settles = await self._db.read(lambda conn: settlement.has_due(conn, now_us))
        happens = await self._db.read(lambda conn: due.has_due(conn, now_us))
        done = 0
        if settles:
            done += await self.write(lambda conn: settlement.settle_due(conn, now_us))
        if happens:
            done += await self.write(lambda conn: due.run(conn, how, now_us, tell=self._tell))
        return done

    async def resolve_action(self, token: str, *, completed: bool) -> schema.OperationRow:
        """The payer completed or refused an action; see `settlement.resolve_action`."""
        now_us = self.time.now_us()
        return await self.write(
            lambda conn: settlement.resolve_action(conn, token, completed=completed, now_us=now_us)
        )

    def _action(self, now_us: int) -> entries.Action:
        automatic_s = self._config.action_auto_s
        return entries.Action(
            token=secrets.token_urlsafe(24),
            expire_us=now_us + round(self._config.action_expire_s * 1e6),
            auto_us=None if automatic_s is None else now_us + round(automatic_s * 1e6),
        )

    def _customer_outcome(
        self, call: Call, kind: scenarios.Kind, details: pps.CustomerDetails
    ) -> scenarios.Outcome:
        scenario = scenarios.of_customer(name=details.name, email=details.email)
        return self._outcome(call, kind, scenario)


def _details(details: pps.CustomerDetails) -> str:
    return json.dumps({"name": details.name, "email": details.email, "phone": details.phone})


def _kept(
    request: pps.AuthorizePaymentRequest,
    method: store.Kept | None,
    scenario: scenarios.Scenario | None,
) -> str:
    """Returns the details of a payment that keeps its instrument."""
    if not request.provider_customer_id:
        text = "keeping a payment method needs a customer"
        raise errors.InvalidRequest(text, [("provider_customer_id", text)])
    return json.dumps(
        {
            "method_id": ids.new_id("mpm") if method is None else method.object_id,
            "customer_id": request.provider_customer_id,
            "scenario": scenario.text if scenario is not None else "",
            "set_default": False,
        }
    )
