"""The simulated payment service provider.

Owns carrying out what a scenario asks for around one ledger transaction per
operation. Called by the SDK's servicer. Never keeps anything outside the
ledger, so that a kill at any point leaves one effect or none.
"""

import json
import os
import random
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import pydantic
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_mock import (
    answers,
    clock,
    currencies,
    entries,
    faults,
    ledger,
    scenarios,
    schema,
    settings,
    settlement,
)
from provider_sdk import errors, fingerprint, provider
from servicekit import failpoints, ids, storage

RETRY_AFTER_S = 1.0


class MockConfig(pydantic.BaseModel):
    """Configuration of one binding; overrides the process's settings."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    force: str = pydantic.Field(
        default="", max_length=255, description="Scenario that overrides every instrument."
    )
    latency_ms: float | None = pydantic.Field(default=None, ge=0, le=60_000)
    jitter_ms: float | None = pydantic.Field(default=None, ge=0, le=60_000)
    settle_after_s: float | None = pydantic.Field(default=None, ge=0, le=31_536_000)


Call = provider.Call[MockConfig]


class MockProvider(provider.Provider[MockConfig]):
    """A provider that does what the instrument says.

    Args:
        config: Settings of the process.
        time: The provider's own time.
    """

    plugin_id = "mock"
    plugin_version = "0.1.0"
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
    secret_slots = (
        provider.SecretSlot(
            slot="api_key", description="Any text; the simulation ignores it.", required=False
        ),
    )
    # The ledger forgets nothing.
    upstream_idempotency_retention_s = 10 * 365 * 86_400.0

    def __init__(self, config: settings.MockSettings, *, time: clock.MockClock) -> None:
        self.max_concurrent_calls = config.max_concurrent_calls
        self.plugin_version = config.version or self.plugin_version
        self.time = time
        self._config = config
        self._force = scenarios.force(config.force)
        self._random = random.Random(config.seed)
        base = config.public_url or f"http://{config.host}:{config.http_port}"
        self._action_url = f"{base}/actions/"
        self._database: storage.Database | None = None

    async def start(self) -> None:
        """Opens the ledger and makes its tables."""
        path = self._config.ledger
        self._database = await storage.open_database(f"sqlite:///{path}")

        def create(conn: storage.Connection) -> None:
            for table in schema.TABLES:
                conn.run(table)

        await self._database.write(create)

    async def close(self) -> None:
        """Closes the ledger."""
        if self._database is not None:
            await self._database.close()

    async def validate(
        self, config: MockConfig, secrets: Mapping[str, Sequence[provider.Secret]]
    ) -> Sequence[provider.Diagnostic]:
        """Checks that `force` is of the grammar."""
        try:
            scenarios.force(config.force)
        except ValueError as error:
            return [provider.Diagnostic(summary=str(error), json_pointer="/force")]
        return ()

    async def authorize(
        self, request: pps.AuthorizePaymentRequest, call: Call
    ) -> operation_pb2.Operation:
        """Does what the token says."""
        scenario = scenarios.of_token(request.payment_method)
        outcome = self._outcome(call, scenarios.Kind.AUTHORIZE, scenario)
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
            row = await self._db.write(
                lambda conn: settlement.bring_up_to_date(conn, operation_id, now_us)
            )
            assert row is not None
        return answers.operation(row, action_url=self._action_url)

    async def settle_due(self) -> int:
        """Settles what is due; returns how many operations it was."""
        now_us = self.time.now_us()
        if not await self._db.read(lambda conn: settlement.has_due(conn, now_us)):
            return 0
        return await self._db.write(lambda conn: settlement.settle_due(conn, now_us))

    async def resolve_action(self, token: str, *, completed: bool) -> schema.OperationRow:
        """The payer completed or refused an action; see `settlement.resolve_action`."""
        now_us = self.time.now_us()
        return await self._db.write(
            lambda conn: settlement.resolve_action(conn, token, completed=completed, now_us=now_us)
        )

    def _action(self, now_us: int) -> entries.Action:
        automatic_s = self._config.action_auto_s
        return entries.Action(
            token=secrets.token_urlsafe(24),
            expire_us=now_us + round(self._config.action_expire_s * 1e6),
            auto_us=None if automatic_s is None else now_us + round(automatic_s * 1e6),
        )

    @property
    def _db(self) -> storage.Database:
        if self._database is None:
            raise RuntimeError("start() opens the ledger")
        return self._database

    async def _record(
        self, write: Callable[[storage.Connection], entries.Recorded], call: Call
    ) -> operation_pb2.Operation:
        """Runs one ledger transaction with everything that may go wrong around it."""
        await self._pause(call)
        failpoints.hit("provider_mock.before_commit")
        try:
            row, fault = await self._db.write(write)
        except entries.Injected as injected:
            _fail_before(injected.fault)
        except storage.CommitUnknown as error:
            raise errors.NoAnswer("the ledger did not confirm the commit") from error
        except storage.StorageUnavailable as error:
            raise errors.Unreachable("the ledger can't be written") from error
        failpoints.hit("provider_mock.after_commit")
        if fault is not scenarios.Fault.NONE:
            _fail_after(fault)
        failpoints.hit("provider_mock.before_answer")
        return answers.operation(row, action_url=self._action_url)

    async def _pause(self, call: Call) -> None:
        own = call.binding.config
        latency_ms = self._config.latency_ms if own.latency_ms is None else own.latency_ms
        jitter_ms = self._config.jitter_ms if own.jitter_ms is None else own.jitter_ms
        if jitter_ms:
            latency_ms += self._random.uniform(0.0, jitter_ms)
        if latency_ms:
            await self.time.sleep(latency_ms / 1e3)

    def _entry(
        self,
        request: fingerprint.MutationRequest,
        call: Call,
        *,
        object_id: str,
        reference: str = "",
        target_id: str = "",
        amount_minor: int | None = None,
        currency: str = "",
        final: bool = False,
        details: str = "",
    ) -> entries.Entry:
        own_s = call.binding.config.settle_after_s
        settle_after_s = self._config.settle_after_s if own_s is None else own_s
        return entries.Entry(
            operation_id=call.operation_id,
            binding_id=call.binding.binding_id,
            fingerprint=fingerprint.of(request),
            provider_operation_id=ids.new_id("mop"),
            object_id=object_id,
            now_us=self.time.now_us(),
            settle_after_us=round(settle_after_s * 1e6),
            ensure_in_time=call.ensure_in_time,
            reference=reference,
            target_id=target_id,
            amount_minor=amount_minor,
            currency=currency,
            final=final,
            details=details,
            force=self._forced(call),
        )

    def _forced(self, call: Call) -> scenarios.Force | None:
        own = call.binding.config.force
        return scenarios.force(own) if own else self._force

    def _outcome(
        self, call: Call, kind: scenarios.Kind, scenario: scenarios.Scenario | None
    ) -> scenarios.Outcome:
        force = self._forced(call)
        forced = force.outcome(kind) if force is not None else None
        if forced is not None:
            return forced
        return scenario.outcome(kind) if scenario is not None else scenarios.UNKNOWN_INSTRUMENT

    def _customer_outcome(
        self, call: Call, kind: scenarios.Kind, details: pps.CustomerDetails
    ) -> scenarios.Outcome:
        scenario = scenarios.of_customer(name=details.name, email=details.email)
        return self._outcome(call, kind, scenario)


def _details(details: pps.CustomerDetails) -> str:
    return json.dumps({"name": details.name, "email": details.email, "phone": details.phone})


def _fail_before(fault: scenarios.Fault) -> NoReturn:
    match fault:
        case scenarios.Fault.NOT_SENT:
            raise errors.Unreachable("the simulated bank can't be reached")
        case scenarios.Fault.RATE_LIMITED:
            raise errors.RateLimited(
                "the simulated bank limits the rate",
                retry_after_s=RETRY_AFTER_S,
                upstream_code="mock_rate_limited",
            )
        case scenarios.Fault.CREDENTIALS_REJECTED:
            raise errors.CredentialsRejected(
                "the simulated bank refuses the key", upstream_code="mock_bad_key"
            )
        case scenarios.Fault.CRASH_BEFORE:
            _crash()
        case _:
            raise faults.LostAnswer(fault)


def _fail_after(fault: scenarios.Fault) -> NoReturn:
    match fault:
        case scenarios.Fault.NO_ANSWER:
            raise errors.NoAnswer("the simulated bank gave no answer")
        case scenarios.Fault.BUG:
            raise RuntimeError("the scenario asks for a bug")
        case scenarios.Fault.CRASH_AFTER:
            _crash()
        case _:
            raise faults.LostAnswer(fault)


def _crash() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL came back")
