"""All instances of one plugin, as payments use them.

Owns sending an operation to one of them, the bounds that keep a plugin that hangs from
harming others, the breakers, and counting faults; which of them may be used is in `roster`.
Called by the use cases and the resolver through `fleet`. Never repeats a call that may have had
an effect: another instance is tried only where it is certain that nothing was done.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from payment_service.domain import model, outcomes
from payment_service.provider_client import (
    asking,
    bounds,
    breaker,
    choosing,
    client,
    counting,
    link,
    probing,
    reading,
    roster,
    signs,
)
from servicekit import clock as clocks
from servicekit import logs, tls

_log = logs.get_logger(__name__)

VERIFYING_MAX = 1_000

# Instances one operation is offered to, beside those that are about to stop.
TRIED_MAX = 3
# Versions that are stored for one operation, each gone again before it could be sent there.
NOTED_MAX = 3
WAIT_POLL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every provider of a process shares.

    `on_fault` hears of versions that broke the contract too often, with the reason.
    `note_version` stores that a version gets the first attempt of an operation; False if that is
    not in flight any more.
    """

    limits: client.Limits
    bounds: bounds.Bounds
    breaker_rule: breaker.Rule
    probe_rule: probing.Rule
    metrics: counting.Metrics
    clock: clocks.Clock
    dialer: tls.Dialer
    on_fault: Callable[[str, str, str], None]
    note_version: Callable[[model.Operation, str], Awaitable[bool]]


class Provider(roster.Roster):
    """One plugin and its instances; see the module.

    Args:
        name: Plugin id.
        tools: What all providers share.
    """

    def __init__(self, name: str, tools: Tools) -> None:
        super().__init__(name)
        self.breakers = breaker.Board(tools.breaker_rule)
        self._tools = tools
        self._faults = probing.Faults(tools.probe_rule)
        self._awaited: asyncio.Task[None] | None = None
        self._active = 0
        self._looking = tools.bounds.asking()
        self._fetching = tools.bounds.asking()
        self._noticing: Counter[str] = Counter()

    @property
    def active(self) -> int:
        """Operations in progress."""
        return self._active

    def version_for(self, operation_id: str, kind: model.Kind) -> str:
        """Returns the version that gets a new operation as things stand; '' if none does."""
        if self._only is not None:
            return self._only.version
        taking = [each for each in self.links.values() if self._takes(each)]
        chosen = self._preferred(operation_id, kind, taking)
        return chosen.version if chosen is not None else ""

    async def execute(
        self, operation: model.Operation, *, repeats: bool = False
    ) -> outcomes.Report:
        """Sends *operation* and returns what is known afterwards. Never raises.

        The first time, the version that gets it is stored before it is sent. With *repeats* it goes
        to that version again, or to another one if none of its instances takes operations.
        """
        started_s = time.perf_counter()
        try:
            report = await self._admitted(operation, repeats=repeats)
        except Exception:
            _log.exception("a provider call failed in core", operation_id=operation.id)
            report = reading.unknown(operation.version, "a fault in core")
        self._count(operation.kind.name.lower(), report, started_s)
        return report

    async def look_up(
        self, operation: model.Operation, object_id: str = "", *, patience_s: float | None = None
    ) -> outcomes.Report:
        """Asks what became of *operation* and returns what is known. Never raises.

        *object_id* is what it made at the provider, '' while core has not heard of it.
        *patience_s* is how long it waits for its turn, None for who comes again anyway.
        Breakers don't keep it back: it is how uncertainty ends.
        """
        async with self._looking.turn(patience_s) as taken:
            if not taken:
                return reading.unknown(
                    operation.version, "as many look-ups as allowed are under way"
                )
            started_s = time.perf_counter()
            try:
                report = await self._look_up(operation, object_id)
            except Exception:
                _log.exception("a look-up failed in core", operation_id=operation.id)
                report = reading.unknown(operation.version, "a fault in core")
        self._count("get_operation", report, started_s)
        return report

    async def fetch(
        self,
        request: Any,
        *,
        binding_id: str,
        tenant_id: str,
        timeout_s: float,
        patience_s: float | None = None,
    ) -> Any:
        """Calls FetchObject of one instance, once it is its turn; see `look_up`.

        Raises:
            asking.Unreachable: No instance answers, or its turn does not come.
            client.NotConfigured: It could not be given the binding.
            grpc.aio.AioRpcError: Whatever the instance says.
        """
        async with self._fetching.turn(patience_s) as taken:
            if not taken:
                raise asking.Unreachable("as many fetches as allowed are under way")
            return await self.notice(
                "FetchObject",
                request,
                binding_id=binding_id,
                tenant_id=tenant_id,
                timeout_s=timeout_s,
            )

    async def notice(
        self, method: str, request: Any, *, binding_id: str, tenant_id: str, timeout_s: float
    ) -> Any:
        """Calls an RPC of NoticeProviderService, which changes nothing, of one instance.

        Raises:
            asking.Unreachable: No instance answers, or as many calls as allowed are under way.
            client.NotConfigured: It could not be given the binding.
            grpc.aio.AioRpcError: Whatever the instance says.
        """
        # Reading a webhook asks nobody upstream; how many come at once is bounded at the door.
        if self._noticing[method] >= VERIFYING_MAX:
            raise asking.Unreachable(f"{VERIFYING_MAX} calls of {method} are under way")
        self._noticing[method] += 1
        try:
            chosen = await self._answering()
            if chosen is None:
                raise asking.Unreachable(self.detail or "no connection")
            return await chosen.client.notice(
                method, request, binding_id=binding_id, tenant_id=tenant_id, timeout_s=timeout_s
            )
        finally:
            self._noticing[method] -= 1

    def _count(self, call: str, report: outcomes.Report, started_s: float) -> None:
        seconds = time.perf_counter() - started_s
        self._tools.metrics.count(self.name, call, report.outcome.value, seconds)

    async def _admitted(self, operation: model.Operation, *, repeats: bool) -> outcomes.Report:
        version = operation.version
        if self._active >= self._tools.bounds.calls_max:
            detail = f"{self._active} calls of {self.name} are in progress, as many as allowed"
            return reading.not_sent(version, "PROVIDER_BUSY", detail)
        admission = breaker.Admission.YES
        if self.breakers:
            now_s = self._tools.clock.monotonic_s()
            admission, wait_s = self.breakers.admit(operation, now_s)
            if admission is breaker.Admission.NO:
                detail = f"it failed too often; the next try is due in {wait_s:.1f} s"
                return reading.not_sent(version, "BREAKER_OPEN", detail)
        self._active += 1
        sign, reason = signs.Sign.NEUTRAL, ""
        try:
            reply, used = await self._attempt(operation, repeats=repeats)
            sign, reason = reply.sign, reply.text
        finally:
            self._active -= 1
            self._learn(operation, sign, admission, reason)
        if sign is signs.Sign.CONTRACT and used is not None:
            self._fault(used, reply.text)
        elif sign is signs.Sign.CREDENTIALS and used is not None:
            used.refused(operation.binding_id)
        elif used is not None and used.rejected and sign is signs.Sign.GOOD:
            used.rejected.pop(operation.binding_id, None)
        return reply.report

    async def _attempt(
        self, operation: model.Operation, *, repeats: bool
    ) -> tuple[signs.Reply, link.Link | None]:
        """Offers *operation* to instances, until one takes it or none is left to ask."""
        fits: roster.Fits | None = None
        if repeats:
            age_s = (self._tools.clock.now_us() - operation.created_us) / 1_000_000
            fits = self._repeating(operation.plugin_version, age_s)
        tried: list[link.Link] = []
        reply: signs.Reply | None = None
        noted, end_s = 0, 0.0
        while True:
            chosen = self._next(operation, tried, fits)
            if chosen is None:
                end_s = end_s or self._tools.clock.monotonic_s() + self._tools.limits.connect_s
                if not await self._waited(end_s, tried):
                    return reply or self._unreachable(operation), None
                continue
            if chosen.version != operation.plugin_version:
                if repeats:
                    _log.warning(
                        "sent again through another version",
                        operation_id=operation.id,
                        first=operation.plugin_version,
                        now=chosen.version,
                    )
                elif noted == NOTED_MAX or not await self._noted(operation, chosen.version):
                    return _not_noted(operation), None
                else:
                    operation = replace(operation, plugin_version=chosen.version)
                    noted += 1
                    # The instance may be gone by now.
                    continue
            reply = await self._through(chosen, operation)
            if reply.sign is not signs.Sign.ELSEWHERE:
                return reply, chosen
            tried.append(chosen)
            if sum(not each.draining for each in tried) >= TRIED_MAX:
                return reply, chosen

    async def _waited(self, end_s: float, tried: list[link.Link]) -> bool:
        """Waits a while for who could take an operation; False where that is of no use any more."""
        left_s = end_s - self._tools.clock.monotonic_s()
        if left_s <= 0 or self._all_barred():
            return False
        if tried or self.ready:
            # Those that are there have no room.
            await asyncio.sleep(WAIT_POLL_S)
            return True
        # Everybody who waits shares the looking.
        if self._awaited is None or self._awaited.done():
            self._awaited = asyncio.get_running_loop().create_task(self._look_out())
        await asyncio.wait([self._awaited], timeout=left_s)
        return True

    async def _look_out(self) -> None:
        for _ in range(round(self._tools.limits.connect_s / WAIT_POLL_S)):
            if self.ready:
                return
            await asyncio.sleep(WAIT_POLL_S)

    async def _noted(self, operation: model.Operation, version: str) -> bool:
        """Stores that *version* gets *operation*; False if that can't be, and nothing was sent."""
        try:
            return await self._tools.note_version(operation, version)
        except Exception:
            _log.exception("could not store who gets an operation", operation_id=operation.id)
            return False

    def _next(
        self, operation: model.Operation, tried: list[link.Link], fits: roster.Fits | None
    ) -> link.Link | None:
        """Returns who is offered *operation* next; who *fits* only, if that is given."""
        only = self._only
        if only is not None and fits is None:
            return only if self._takes(only) and self._has_room(only) and not tried else None
        found = [
            each
            for each in self.links.values()
            if self._takes(each)
            and self._has_room(each)
            and each not in tried
            and (fits is None or fits(each))
        ]
        return self._preferred(operation.id, operation.kind, found)

    def _preferred(
        self, operation_id: str, kind: model.Kind, found: list[link.Link]
    ) -> link.Link | None:
        if len(found) < 2:
            return found[0] if found else None
        plan = self.situation.plan
        wanted = choosing.version_for(plan, operation_id, kind)
        return choosing.preferred(found, plan, wanted)[0]

    def _has_room(self, each: link.Link) -> bool:
        most = self._tools.bounds.instance_max
        return each.active < (min(most, each.calls_max) if each.calls_max else most)

    async def _through(self, chosen: link.Link, operation: model.Operation) -> signs.Reply:
        chosen.active += 1
        try:
            reply = await chosen.client.execute(operation)
        finally:
            chosen.leave()
        if reply.draining:
            chosen.watch.drains()
        return reply

    def _unreachable(self, operation: model.Operation) -> signs.Reply:
        reason, detail = "PROVIDER_UNREACHABLE", self.detail
        if self.ready:
            reason, detail = "PROVIDER_BUSY", "as many calls as its instances take are in progress"
        elif self._all_barred():
            reason = "PROVIDER_QUARANTINED"
        report = reading.not_sent(operation.version, reason, detail)
        return signs.Reply(report=report, sign=signs.Sign.NEUTRAL)

    async def _look_up(self, operation: model.Operation, object_id: str) -> outcomes.Report:
        chosen = await self._answering(operation.plugin_version)
        if chosen is None:
            return reading.unknown(operation.version, self.detail or "no connection")
        had, now_us = self.said(operation.plugin_version), self._tools.clock.now_us()
        reply = await chosen.client.look_up(operation, object_id, had, self.lags.longest_s(now_us))
        if reply.sign is signs.Sign.CONTRACT:
            self._fault(chosen, reply.text)
        return reply.report

    async def _answering(self, version: str = "") -> link.Link | None:
        """Returns the instance to ask what changes nothing, once there is one; about what
        *version* had, if it is named.
        """
        end_s = self._tools.clock.monotonic_s() + self._tools.limits.connect_s
        while not (found := [each for each in self.links.values() if self._answers(each)]):
            if self._tools.clock.monotonic_s() >= end_s or self._all_barred():
                return None
            await asyncio.sleep(WAIT_POLL_S)
        plan = self.situation.plan
        return choosing.preferred(found, plan, choosing.asked_first(plan, version))[0]

    def _learn(
        self,
        operation: model.Operation,
        sign: signs.Sign,
        admission: breaker.Admission,
        reason: str,
    ) -> None:
        if sign is signs.Sign.OUTAGE:
            now_s = self._tools.clock.monotonic_s()
            if self.breakers.failed(operation, now_s, admission, reason):
                call_class = breaker.CLASSES[operation.kind]
                self._tools.metrics.opened.labels(self.name, call_class.value).inc()
                _log.warning(
                    "breaker opened",
                    provider=self.name,
                    binding_id=operation.binding_id,
                    call_class=call_class.value,
                )
        elif self.breakers:
            if sign is signs.Sign.GOOD:
                self.breakers.good(operation)
            elif admission is breaker.Admission.TRIAL:
                self.breakers.spoiled(operation)

    def _fault(self, chosen: link.Link, text: str) -> None:
        """A version broke the contract; three times in an hour are too often."""
        version = chosen.version
        self._tools.metrics.fault(self.name, version)
        _log.error("contract broken", provider=self.name, version=version, problem=text)
        if self._faults.add(version, self._tools.clock.monotonic_s()):
            why = f"broken contract: {text}"
            self._tools.on_fault(self.name, version, why)
            # At once here; other processes hear of it with their next view of the catalog.
            barred = {**self.situation.barred, version: f"quarantined: {why}"}
            self.settle(replace(self.situation, barred=barred))


def _not_noted(operation: model.Operation) -> signs.Reply:
    """Nothing is sent before its version is stored: a doubt goes to that version again."""
    detail = "not sent: who gets it could not be stored"
    report = reading.not_sent(operation.version, "NOT_STORED", detail)
    return signs.Reply(report=report, sign=signs.Sign.NEUTRAL)
