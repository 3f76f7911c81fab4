"""Starts payment_service: `python -m payment_service [serve|migrate|relay|…]`.

Owns the commands and the order of start and stop. Reads the environment once;
everything else gets what it needs.
"""

import argparse
import asyncio
import datetime
import functools
import sys

from payhub.options.v1 import options_pb2

from payment_service import composition, plugging, settings
from payment_service import relay as relay_package
from payment_service.api import access
from payment_service.recovery import following, refusing, taking
from payment_service.usecases import keys, standing, witness
from payment_service.usecases.bindings import rotation, secrets
from servicekit import clock, encryption_keys, health, http, logs, metrics, server, storage, tls
from servicekit import settings as settings_module


def main() -> int:
    """Runs the command of the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="payment_service", description="Takes payments.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve gRPC and run resolver and relay (the default)")
    commands.add_parser("migrate", help="bring the database to the newest schema")
    commands.add_parser("relay", help="run the outbox relay alone")
    recovering = commands.add_parser(
        "recover",
        help="after restoring an older database, and before serving: take back from the event log "
        "what it tells of the time since, and exit",
    )
    recovering.add_argument(
        "--since",
        type=moment_us,
        default=0,
        metavar="TIME",
        help="a moment before the back-up was made, with its zone (2026-05-04T03:00:00Z): reads a "
        "shorter part of the log. Absent: all that the log keeps",
    )
    create = commands.add_parser("create-key", help="make an API key directly in the database")
    create.add_argument("--tenant", required=True, help="tenant that it acts for")
    create.add_argument(
        "--scope", action="append", required=True, choices=keys.SCOPES, help="may be repeated"
    )
    create.add_argument("--name", required=True, help="what it is for")
    commands.add_parser("new-encryption-key", help="print a fresh key for stored secrets")
    rotate = commands.add_parser(
        "rotate-encryption-key", help="encrypt every stored secret under the newest key"
    )
    rotate.add_argument(
        "--add-key",
        action="store_true",
        help="put a fresh key in front of those in PAYMENT_SERVICE_ENCRYPTION_KEY_PATH first",
    )
    rotate.add_argument(
        "--drop-unreadable",
        action="store_true",
        help="remove secrets that no key decrypts, so that new ones can be given",
    )
    options = parser.parse_args()
    if options.command == "new-encryption-key":
        sys.stdout.write(encryption_keys.new_key() + "\n")
        return 0
    configured = settings_module.load(settings.Settings)
    logs.configure(
        service=composition.SERVICE,
        level=configured.log_level,
        fmt=configured.log_format,
        sensitive=options_pb2.sensitive,
    )
    try:
        return run(configured, options)
    except (keys.KeyProblem, encryption_keys.KeyProblem) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    except storage.StorageError as failure:
        logs.get_logger(__name__).error("can't open the database", problem=str(failure))
        logs.flush()
        return 1


def run(configured: settings.Settings, options: argparse.Namespace) -> int:
    """Runs one command; returns the exit status."""
    match options.command:
        case "migrate":
            sys.stdout.write(f"the database is at revision {migrate(configured)}\n")
            return 0
        case "create-key":
            return server.run(create_key(configured, options))
        case "relay":
            return server.run(relay_alone(configured))
        case "recover":
            return server.run(recover(configured, options.since))
        case "rotate-encryption-key":
            return server.run(rotate_encryption_key(configured, options))
        case _:
            return server.run(serve(configured))


def migrate(configured: settings.Settings) -> str:
    """Brings the database to the newest schema; returns its revision."""
    return storage.migrate(configured.database_url.get_secret_value(), composition.MIGRATIONS)


async def open_database(
    configured: settings.Settings, seen: witness.Witness | None = None
) -> storage.Database:
    """Opens the database that is set up; a schema that is behind is an error that says so.

    A database that has lost commits which *seen* or another process remembers is one, too.
    """
    url = configured.database_url.get_secret_value()
    await asyncio.to_thread(
        storage.check_migrated,
        url,
        composition.MIGRATIONS,
        command="python -m payment_service migrate",
    )
    return await storage.open_database(
        url,
        pool_size=configured.database_pool_size,
        statement_timeout_s=configured.database_statement_timeout_s,
        on_connect=None if seen is None else seen.check,
    )


async def serve(configured: settings.Settings) -> int:
    """Serves until a signal; returns the exit status."""
    if configured.migrates_at_start:
        url = configured.database_url.get_secret_value()
        await asyncio.to_thread(storage.migrate_at_start, url, composition.MIGRATIONS)
    seen = witness.Witness()
    db = await open_database(configured, seen)
    metrics_ = metrics.Metrics()
    time, background = await storage.shared_clock(db)
    parts = composition.assemble(configured, db, metrics_, clock=time, witness=seen)
    await make_keys(configured, parts.keys)
    await plugging.prepare(configured, parts.ctx, parts.plugins)
    healths = health.Servicer()
    guard = relay_package.Guard(db, parts.ctx.standing, metrics_)
    asking = relay_package.Asking(
        endpoint=configured.gateway_endpoint,
        key=composition.relay_key(configured),
        every_s=configured.relay_check_s,
        wait_s=configured.gateway_wait_s,
        dialer=parts.ctx.dialer,
    )

    async def compare(stop: asyncio.Event) -> None:
        await guard.run(stop, asking, time)

    async def resolve(stop: asyncio.Event) -> None:
        await parts.resolver.run(stop, idle_s=configured.resolver_idle_s)

    async def retry(stop: asyncio.Event) -> None:
        await parts.retrier.run(stop, idle_s=configured.resolver_idle_s)

    async def report(stop: asyncio.Event) -> None:
        await parts.plugins.health.report(stop, healths.tell)

    async def take_webhooks(stop: asyncio.Event) -> None:
        await parts.webhook_daemon.run(stop, idle_s=configured.webhook_idle_s)

    background += [*parts.plugins.background, parts.forgetting.run, parts.watch.run]
    background += [compare, report, take_webhooks, functools.partial(seen.run, db)]
    if configured.resolver_enabled:
        background += [resolve, parts.resolver.keep_due, retry]
    if configured.relay_enabled:
        written, dialer = parts.ctx.outbox_written, parts.ctx.dialer
        relay = composition.relay(configured, db, metrics_, guard, written, time, dialer)
        background.append(relay.run)
    return await server.serve(
        settings=configured,
        service_name=composition.SERVICE,
        servicers=parts.servicers,
        reflection_names=access.SERVICES,
        interceptors=[parts.pipeline],
        routes=parts.webhooks.routes(),
        background=background,
        on_drain=[lambda: parts.ctx.tracker.drain(configured.drain_grace_s)],
        closing=[parts.ctx.providers.close, db.close],
        registry=metrics_,
        ready_checks=ready_checks(db, parts.ctx.standing),
        health_servicer=healths,
    )


async def relay_alone(configured: settings.Settings) -> int:
    """Runs the relay until a signal; returns the exit status."""
    seen = witness.Witness()
    db = await open_database(configured, seen)
    metrics_ = metrics.Metrics()
    time, background = await storage.shared_clock(db)
    own = standing.Standing()
    guard = relay_package.Guard(db, own, metrics_)
    dialer = tls.dialer(configured.tls_files)
    relay = composition.relay(configured, db, metrics_, guard, None, time, dialer)
    return await server.serve(
        settings=configured,
        service_name=f"{composition.SERVICE} relay",
        servicers=(),
        background=[*background, relay.run, functools.partial(seen.run, db)],
        closing=[db.close],
        registry=metrics_,
        ready_checks=ready_checks(db, own),
    )


def ready_checks(db: storage.Database, standing_: standing.Standing) -> dict[str, http.ReadyCheck]:
    """Returns what /readyz asks: without a database this process is no use to callers, nor with
    one that lacks what the event log has.
    """

    async def database() -> None:
        await db.read(lambda conn: conn.query("select 1"))

    async def knows_event_log() -> None:
        if standing_.is_behind:
            raise RuntimeError("`python -m payment_service recover` has to run")

    return {"database": database, "knows_event_log": knows_event_log}


async def make_keys(configured: settings.Settings, cases: keys.Keys) -> None:
    """Makes valid the keys that the installation starts with."""
    await cases.ensure(
        composition.relay_key(configured),
        tenant_id=keys.SYSTEM_TENANT,
        scopes=keys.RELAY_SCOPES,
        name="relay",
    )
    if configured.bootstrap_key is not None:
        await cases.ensure(
            configured.bootstrap_key.get_secret_value(),
            tenant_id="default",
            scopes=keys.SCOPES,
            name="bootstrap",
        )
    if configured.plugin_key is not None:
        secret = await asyncio.to_thread(keys.read_or_make, configured.plugin_key)
        await cases.ensure(
            secret, tenant_id=keys.SYSTEM_TENANT, scopes=keys.PLUGIN_SCOPES, name="plugins"
        )
    if configured.development_key is not None:
        secret = await asyncio.to_thread(keys.read_or_make, configured.development_key)
        await cases.ensure(secret, tenant_id="default", scopes=keys.SCOPES, name="development")


async def create_key(configured: settings.Settings, options: argparse.Namespace) -> int:
    """Makes a key in the database and prints its secret; for the first key there is."""
    db = await open_database(configured)
    try:
        ctx = composition.make_context(
            configured, db, metrics.Metrics(), plugging.Hooks(), clock.SystemClock()
        )
        cases = keys.Keys(ctx)
        _, secret = await cases.create(
            tenant_id=options.tenant, scopes=tuple(options.scope), name=options.name
        )
    finally:
        await db.close()
    sys.stdout.write(secret + "\n")
    return 0


def moment_us(text: str) -> int:
    """Returns a time of the command line as epoch microseconds."""
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("without a zone")
    return round(found.timestamp() * 1_000_000)


async def recover(configured: settings.Settings, since_us: int) -> int:
    """Takes back from the event log what a restored database has forgotten; tells what.

    Serves nothing meanwhile but what the gateway asks of keys; others are to come again.
    """
    db = await open_database(configured)
    metrics_ = metrics.Metrics()
    time, background = await storage.shared_clock(db)
    parts = composition.assemble(configured, db, metrics_, clock=time)
    # What the environment names goes on from where the log has it, as all else does.
    await make_keys(configured, parts.keys)
    await plugging.plant(configured, parts.ctx, parts.plugins)
    ended = asyncio.Event()
    lines: list[str] = []

    async def work(stop: asyncio.Event) -> None:
        try:
            found = await taking.take_back(
                parts.ctx,
                parts.keys,
                endpoint=configured.gateway_endpoint,
                owner=plugging.owner(configured),
                since_us=since_us,
            )
            lines.append(taking.text(found))
        except (following.LogProblem, taking.InUse) as problem:
            sys.stderr.write(f"{problem}\n")
        ended.set()

    status = await server.serve(
        settings=configured,
        service_name=f"{composition.SERVICE} recover",
        servicers=parts.servicers,
        interceptors=[parts.pipeline, refusing.Refusing()],
        background=[*background, work],
        closing=[parts.ctx.providers.close, db.close],
        registry=metrics_,
        ready_checks=ready_checks(db, parts.ctx.standing),
        asked=ended,
    )
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return status if lines else 1


async def rotate_encryption_key(configured: settings.Settings, options: argparse.Namespace) -> int:
    """Encrypts every stored secret under the newest key; tells how many."""
    path = configured.encryption_key_file
    if options.add_key and (configured.encryption_keys is not None or path is None):
        raise encryption_keys.KeyProblem(
            "--add-key: the keys are not in PAYMENT_SERVICE_ENCRYPTION_KEY_PATH; put a fresh one "
            "in front of those in PAYMENT_SERVICE_ENCRYPTION_KEYS yourself"
        )
    db = await open_database(configured)
    try:
        if options.add_key and path is not None:
            former = secrets.find_keys(None, path)
            encryption_keys.write(path, [encryption_keys.new_key(), *former])
        vault = composition.vault(configured)
        done = await rotation.rotate(db, vault, drop_unreadable=options.drop_unreadable)
    finally:
        await db.close()
    sys.stdout.write(
        f"encrypted anew: {done.renewed}; under the newest key before: {done.current}; "
        f"not readable: {len(done.unreadable)}; removed: {done.dropped}\n"
    )
    for binding_id in done.unreadable:
        sys.stderr.write(f"no key decrypts the secrets of binding {binding_id}\n")
    return 1 if done.unreadable and not options.drop_unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
