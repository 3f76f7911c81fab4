"""What every process shows at /metrics, collected from the registries that they compose.

Owns putting the parts of each process together around nothing. Called by the tests of
dashboards, rules and docs/metrics.md. Never starts, opens or connects anything.
"""

import asyncio
import pathlib
import types
from dataclasses import dataclass
from typing import Any

import grpc.aio
import pydantic

from event_gateway import composition as gateway
from event_gateway import settings as gateway_settings
from event_gateway.db import read
from event_gateway.webhooks_out import secrets as webhook_secrets
from payment_service import composition as payments
from payment_service import relay
from payment_service import settings as payments_settings
from payment_service.usecases import standing
from servicekit import auth, encryption_keys, metrics, tls
from subscribers.audit_log import entries, following
from subscribers.email_notifier import notifier
from tests import fake_clock

# What the library tells of a process where the system has it; Linux does.
OF_LIBRARY = frozenset(
    f"process_{name}"
    for name in (
        "cpu_seconds_total", "max_fds", "open_fds", "resident_memory_bytes", "start_time_seconds",
        "virtual_memory_bytes",
    )
)  # fmt: skip
DATABASE: Any = types.SimpleNamespace(under_way=0, dialect="sqlite")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `name` as it is queried, without `_bucket`, `_sum` and `_count`."""

    name: str
    type: str
    labels: tuple[str, ...]


def _metrics(registry: metrics.Metrics) -> set[Metric]:
    found = set()
    # A metric without a sample tells its labels to nobody, but for these attributes.
    for collector in list(registry.registry._collector_to_names):
        for family in collector.collect():
            labels: Any = getattr(collector, "_labelnames", getattr(family, "_labelnames", ()))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            if name.startswith(("process_", "python_")):
                continue
            found.add(Metric(name, family.type, tuple(labels)))
    return found


def _payment_service(folder: pathlib.Path) -> metrics.Metrics:
    registry, time = metrics.Metrics(), fake_clock.FakeClock()
    configured = payments_settings.Settings(
        encryption_keys=pydantic.SecretStr(encryption_keys.new_key()),
        backup_dir=folder,
        relay_key=pydantic.SecretStr(auth.new_key()[1]),
    )
    payments.assemble(configured, DATABASE, registry, clock=time)
    guard = relay.Guard(DATABASE, standing.Standing(), registry)
    payments.relay(configured, DATABASE, registry, guard, None, time, tls.IN_CLEAR)
    return registry


def _relay() -> metrics.Metrics:
    registry = metrics.Metrics()
    configured = payments_settings.Settings(relay_key=pydantic.SecretStr(auth.new_key()[1]))
    guard = relay.Guard(DATABASE, standing.Standing(), registry)
    time = fake_clock.FakeClock()
    payments.relay(configured, DATABASE, registry, guard, None, time, tls.IN_CLEAR)
    return registry


async def _event_gateway() -> metrics.Metrics:
    registry = metrics.Metrics()
    configured = gateway_settings.Settings()
    state = read.State(epoch=1, head=0, oldest=0, head_append_us=0)
    log = gateway.make_log(configured, DATABASE, state, registry, time=fake_clock.FakeClock())
    vault = webhook_secrets.Vault([])
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        for close in gateway.assemble(log, channel, vault, tls.IN_CLEAR).closing:
            await close()
    return registry


def _audit_log() -> metrics.Metrics:
    registry = metrics.Metrics()
    writer: Any = types.SimpleNamespace(head=entries.Head())
    following.Follower(types.SimpleNamespace(), writer, registry)  # type: ignore[arg-type]
    return registry


def _email_notifier() -> metrics.Metrics:
    registry = metrics.Metrics()
    notifier.counter(registry)
    return registry


def collect(folder: pathlib.Path) -> dict[str, set[Metric]]:
    """Returns the metrics of each process by its name in the compose files, those that all
    have under "every process"; *folder* is for back-ups, and nothing is written to it.
    """
    every = _metrics(metrics.Metrics())
    own = {
        "payment_service": _metrics(_payment_service(folder)),
        "event_gateway": _metrics(asyncio.run(_event_gateway())),
        "audit_log": _metrics(_audit_log()),
        "email_notifier": _metrics(_email_notifier()),
    }
    assert _metrics(_relay()) - every <= own["payment_service"]
    return {"every process": every} | {name: found - every for name, found in own.items()}
