"""The ledger under the simulated provider.

Owns opening it, its transactions with everything that may go wrong around them,
the entries they record and the webhooks they leave. Base of the provider.
Never keeps anything outside the ledger, so that a kill at any point leaves one
effect or none.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import pydantic
from payhub.provider.v1 import operation_pb2

from provider_mock import (
    answers,
    clock,
    entries,
    failing,
    scenarios,
    schema,
    settings,
)
from provider_mock.billing import rules
from provider_mock.objects import store
from provider_mock.webhooks import journal
from provider_sdk import errors, fingerprint, provider
from servicekit import failpoints, ids, storage

WrittenT = TypeVar("WrittenT")


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


class Keeper(provider.Provider[MockConfig]):
    """A provider with a ledger.

    Args:
        config: Settings of the process.
        time: The provider's own time.
    """

    def __init__(self, config: settings.MockSettings, *, time: clock.MockClock) -> None:
        self.max_concurrent_calls = config.max_concurrent_calls
        self.plugin_version = config.version or self.plugin_version
        self.time = time
        self._config = config
        self._force = scenarios.force(config.force)
        self._random = random.Random(config.seed)
        host = f"[{config.host}]" if ":" in config.host else config.host
        base = config.public_url or f"http://{host}:{config.http_port}"
        self.base_url = base
        self._action_url = f"{base}/actions/"
        self._telling: journal.Telling | None = None
        if config.webhook_url and not config.upstream_url:
            self._telling = journal.Telling(
                base_url=base,
                delay_us=round(config.webhook_delay_ms * 1e3),
                jitter_us=round(config.webhook_jitter_ms * 1e3),
            )
        self._database: storage.Database | None = None

    async def start(self) -> None:
        """Opens the ledger and makes its tables."""
        path = self._config.ledger
        self._database = await storage.open_database(f"sqlite:///{path}")

        how = self._config.billing_rules()
        telling = self._telling is not None

        def create(conn: storage.Connection) -> int:
            schema.modernize(conn)
            tables = (*schema.TABLES, *store.TABLES, *journal.TABLES, rules.TABLE, clock.TABLE)
            for table in tables:
                conn.run(table)
            rules.save(conn, how)
            journal.prepare(conn, telling=telling)
            return clock.begin(conn, self.time.offset_us)

        self.time.reach(await self._database.write(create))

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

    @property
    def database(self) -> storage.Database:
        """The ledger, once it is open."""
        return self._db

    @property
    def _db(self) -> storage.Database:
        if self._database is None:
            raise RuntimeError("start() opens the ledger")
        return self._database

    async def write(self, change: Callable[[storage.Connection], WrittenT]) -> WrittenT:
        """Runs one ledger transaction, with the webhooks that tell what it changed."""
        if self._telling is None:
            return await self._db.write(change)

        def run(conn: storage.Connection) -> WrittenT:
            written = change(conn)
            self._tell(conn)
            return written

        return await self._db.write(run)

    def _tell(self, conn: storage.Connection) -> None:
        """Makes the webhooks of what a transaction has changed so far."""
        if self._telling is not None:
            journal.collect(conn, self._telling, now_us=self.time.real_us())

    async def advance(self, seconds: float) -> None:
        """Moves the provider's time forward by *seconds*, 0 or more, for good."""
        moved_us = round(seconds * 1e6)
        self.time.reach(await self._db.write(lambda conn: clock.move(conn, moved_us)))

    async def read(self, look: Callable[[storage.Connection], WrittenT]) -> WrittenT:
        """Reads the ledger."""
        return await self._db.read(look)

    async def _record(
        self, write: Callable[[storage.Connection], entries.Recorded], call: Call
    ) -> operation_pb2.Operation:
        """Runs one ledger transaction and returns the operation."""
        row = await self._recorded(write, call)
        return answers.operation(row, action_url=self._action_url)

    async def _recorded(
        self, write: Callable[[storage.Connection], entries.Recorded], call: Call
    ) -> schema.OperationRow:
        """Runs one ledger transaction with everything that may go wrong around it."""
        await self._pause(call)
        failpoints.hit("provider_mock.before_commit")
        try:
            row, fault = await self.write(write)
        except entries.Injected as injected:
            failing.before_commit(injected.fault)
        except storage.CommitUnknown as error:
            raise errors.NoAnswer("the ledger did not confirm the commit") from error
        except storage.StorageUnavailable as error:
            raise errors.Unreachable("the ledger can't be written") from error
        failpoints.hit("provider_mock.after_commit")
        if fault is not scenarios.Fault.NONE:
            failing.after_commit(fault)
        failpoints.hit("provider_mock.before_answer")
        return row

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
