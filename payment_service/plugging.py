"""How the parts of payment_service that know of plugins are put together.

Owns the fleet with what it asks of the use cases, and what keeps both going. Called by
`composition`. Never reads the environment.
"""

import socket
from dataclasses import dataclass

from payhub.plugin.v1 import plugin_service_pb2

from payment_service.domain import model
from payment_service.provider_client import (
    bounds,
    breaker,
    client,
    counting,
    fleet,
    introduction,
    pool,
    probing,
)
from payment_service.settings import Settings
from payment_service.usecases import context, daily_limits
from payment_service.usecases.bindings import (
    backup,
    binding_store,
    bindings,
    configurations,
    default_providers,
    export,
    gates,
    rotation,
    secrets,
)
from payment_service.usecases.plugins import (
    health,
    kills,
    leases,
    lifecycle,
    plugin_lists,
    reports,
    seeding,
    takers,
    upgrades,
)
from servicekit import clock as clocks
from servicekit import metrics, server, tls


class Hooks:
    """What the fleet asks of use cases, which are made after it."""

    def __init__(self) -> None:
        self.parts: Plugins | None = None

    @property
    def _made(self) -> "Plugins":
        if self.parts is None:
            raise RuntimeError("the fleet was started before its use cases were made")
        return self.parts

    async def configuration(
        self, binding_id: str, tenant_id: str, plugin_id: str, version: str
    ) -> tuple[int, plugin_service_pb2.BindingConfig]:
        """See `fleet.Hooks`."""
        return await self._made.configurations.configuration(
            binding_id, tenant_id, plugin_id, version
        )

    async def adopt(self, endpoint: str, introduced: introduction.Introduction) -> str:
        """See `fleet.Hooks`."""
        return await self._made.leases.adopt(endpoint, introduced)

    async def observe(self, plugin_id: str, conditions: probing.Conditions) -> None:
        """See `fleet.Hooks`."""
        await self._made.life.observe(plugin_id, conditions)

    def quarantine_soon(self, plugin_id: str, version: str, reason: str) -> None:
        """See `pool.Tools`."""
        self._made.leases.quarantine_soon(plugin_id, version, reason)

    async def note_version(self, operation: model.Operation, version: str) -> bool:
        """See `pool.Tools`."""
        return await self._made.takers.note(operation, version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugins:
    """The use cases of plugins, and what runs for them."""

    vault: secrets.Vault
    gates: gates.Gates
    bindings: bindings.Bindings
    defaults: default_providers.DefaultProviders
    exports: export.Exports
    rotation: rotation.Rotation
    configurations: configurations.Configurations
    life: lifecycle.Lifecycle
    seeds: seeding.Seeds
    leases: leases.Leases
    upgrades: upgrades.Upgrades
    health: health.Health
    lists: plugin_lists.Lists
    reports: reports.Reports
    kills: kills.Kills
    takers: takers.Takers
    background: tuple[server.Background, ...]


def probe_rule(settings: Settings) -> probing.Rule:
    """Returns how instances are watched."""
    return probing.Rule(
        every_s=settings.plugin_probe_s,
        crashes_max=settings.plugin_crashes_max,
        faults_max=settings.plugin_faults_max,
    )


def make_fleet(
    settings: Settings,
    clock: clocks.Clock,
    dialer: tls.Dialer,
    registry: metrics.Metrics,
    hooks: Hooks,
) -> fleet.Fleet:
    """Returns a fleet without connections."""
    tools = pool.Tools(
        limits=client.Limits(
            connect_s=settings.provider_connect_s,
            skew_s=settings.provider_skew_s,
            call_s=settings.provider_timeout_s,
        ),
        bounds=bounds.Bounds(
            calls_max=settings.provider_calls_max,
            instance_max=settings.provider_calls_max,
            lookups_max=settings.provider_lookups_max,
        ),
        breaker_rule=breaker.Rule(
            calls_min=settings.breaker_calls_min,
            open_first_s=settings.breaker_open_first_s,
            open_longest_s=settings.breaker_open_longest_s,
        ),
        probe_rule=probe_rule(settings),
        metrics=counting.Metrics(registry.registry),
        clock=clock,
        dialer=dialer,
        on_fault=hooks.quarantine_soon,
        note_version=hooks.note_version,
    )
    return fleet.Fleet(
        tools,
        fleet.Hooks(configuration=hooks.configuration, adopt=hooks.adopt, observe=hooks.observe),
    )


def make(
    settings: Settings,
    ctx: context.Context,
    vault: secrets.Vault,
    hooks: Hooks,
    registry: metrics.Metrics,
) -> Plugins:
    """Returns the use cases of plugins around a context, and ties the fleet to them."""
    checks = gates.Gates(ctx)
    bindings_ = bindings.Bindings(ctx, vault, checks)
    exports = export.Exports(ctx, bindings_, checks)
    configured = configurations.Configurations(ctx, vault, checks)
    life = lifecycle.Lifecycle(ctx, bindings_, configured)
    seeds = seeding.Seeds(ctx, life, binding_store.Environment(ctx, vault))
    terms = leases.Terms(length_s=settings.plugin_lease_s, rule=probe_rule(settings))
    leased = leases.Leases(ctx, life, terms)
    upgrading = upgrades.Upgrades(ctx, life, configured, settings.upgrade_stand_by_s)
    made = Plugins(
        vault=vault,
        gates=checks,
        bindings=bindings_,
        defaults=default_providers.DefaultProviders(ctx),
        exports=exports,
        rotation=rotation.Rotation(ctx, vault),
        configurations=configured,
        life=life,
        seeds=seeds,
        leases=leased,
        upgrades=upgrading,
        health=health.Health(ctx),
        lists=plugin_lists.Lists(ctx),
        reports=reports.Reports(ctx),
        kills=kills.Kills(ctx),
        takers=takers.Takers(ctx),
        background=(
            ctx.catalog.run,
            ctx.providers.run,
            seeds.run,
            leased.run,
            upgrading.run,
            lambda stop: daily_limits.prune_forever(ctx, stop),
            *_backups(settings, ctx, exports, registry),
        ),
    )
    hooks.parts = made
    ctx.catalog.follow(ctx.providers.follow)
    return made


def _backups(
    settings: Settings,
    ctx: context.Context,
    exports: export.Exports,
    registry: metrics.Metrics,
) -> list[server.Background]:
    if settings.backup_dir is None:
        return []
    passphrase = settings.backup_passphrase
    plan = backup.Plan(
        folder=settings.backup_dir,
        every_s=settings.backup_every_s,
        keep=settings.backup_keep,
        passphrase=passphrase.get_secret_value() if passphrase else None,
    )
    return [backup.Backup(ctx, exports, plan, owner(settings), registry.registry).run]


def owner(settings: Settings) -> str:
    """Returns how this process is named in leases."""
    return f"{socket.gethostname()}:{settings.grpc_port}"


async def prepare(settings: Settings, ctx: context.Context, made: Plugins) -> None:
    """Reads the catalog, plants what the environment names, and connects.

    Raises:
        encryption_keys.KeyProblem: Stored secrets can't be read with the keys at hand.
    """
    await plant(settings, ctx, made)
    ctx.providers.start()


async def plant(settings: Settings, ctx: context.Context, made: Plugins) -> None:
    """Reads the catalog and plants what the environment names; connects to nothing.

    Raises:
        encryption_keys.KeyProblem: Stored secrets can't be read with the keys at hand.
    """
    await secrets.check(ctx.db, made.vault)
    await ctx.catalog.refresh()
    await made.seeds.plant(
        settings.providers,
        settings.provider_config,
        settings.default_plugin,
        settings.provider_secret_values,
    )
