"""Encryption keys, the environment's own bindings, and backups: from start to start."""

import asyncio
import contextlib
import json
import pathlib
import stat
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.protobuf import json_format
from payhub.admin.v1 import binding_admin_service_pb2 as pb

from deploy import stack
from payment_service import composition
from payment_service.db import bindings as rows
from payment_service.usecases.bindings import rotation, secrets
from servicekit import encryption_keys, storage
from tests.integration.payment_service import binding_rig, inside, process, records, rig

CANARY = b"sk_live_canary_2342"
OLD, NEW = encryption_keys.new_key(), encryption_keys.new_key()
Run = Callable[..., contextlib.AbstractAsyncContextManager[inside.InProcess]]


@pytest.fixture
def run(database_url: str, bank: stack.Stack) -> Run:
    """Runs services one after the other on one database."""

    @contextlib.asynccontextmanager
    async def running(**changes: Any) -> AsyncIterator[inside.InProcess]:
        target = bank.target(stack.MOCK)
        async with inside.running(database_url, target, **changes) as service:
            await inside.connected(service)
            yield service

    return running


def ciphertexts(url: str) -> list[bytes]:
    """Returns every stored secret as it is stored."""
    with contextlib.closing(records.Records(url)) as stored:
        found = [
            *stored.rows("select secrets from bindings"),
            *stored.rows("select secrets from binding_versions"),
        ]
    return [bytes(row[0]) for row in found if bytes(row[0])]


async def test_keys_rotate_while_the_service_runs(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old keys read, the newest writes, and after rotating it alone is enough."""
    monkeypatch.setattr(rotation, "BATCH", 3)
    monkeypatch.setattr(secrets, "CHECK_BATCH", 1)
    async with run(encryption_keys=OLD) as service:
        admin = binding_rig.Admin(service.caller)
        given = [binding_rig.secret("api_key", CANARY)]
        binding = await admin.create(service.caller.tenant, secrets=given)
        for number in range(6):
            binding = await admin.update(
                binding,
                options=binding_rig.Options(limits=[binding_rig.limit(max_minor=10_000 + number)]),
            )
    before = ciphertexts(database_url)
    assert len(before) == 8
    async with run(encryption_keys=f"{NEW},{OLD}") as service:
        admin = binding_rig.Admin(service.caller)
        assert rig.state(await service.caller.create()) == "SUCCEEDED"
        assert await admin.rotate() == (8, 0)
        assert await admin.rotate() == (0, 8)
    after = ciphertexts(database_url)
    assert not set(before) & set(after)
    assert CANARY not in b"".join(before + after)
    vault = secrets.Vault([NEW])
    assert {vault.open(binding.id, each)[0].value for each in after} == {CANARY}
    async with run(encryption_keys=NEW) as service:
        assert rig.state(await service.caller.create()) == "SUCCEEDED"


async def test_a_start_with_the_wrong_key_says_which_is_missing(
    run: Run, database_url: str, tmp_path: pathlib.Path
) -> None:
    """Exit status 2, no traceback; secrets that are lost for good can be dropped."""
    async with run(encryption_keys=OLD) as service:
        admin = binding_rig.Admin(service.caller)
        given = [binding_rig.secret("api_key", CANARY)]
        binding = await admin.create(service.caller.tenant, secrets=given)
    env = {
        "PAYMENT_SERVICE_DATABASE_URL": database_url,
        "PAYMENT_SERVICE_ENCRYPTION_KEYS": NEW,
        "PAYMENT_SERVICE_RELAY_KEY_PATH": str(tmp_path / "relay.key"),
        "PAYMENT_SERVICE_DEV_KEY_PATH": str(tmp_path / "dev.key"),
        "PAYMENT_SERVICE_PLUGIN_KEY_PATH": str(tmp_path / "plugin.key"),
        "PAYMENT_SERVICE_GRPC_PORT": "0",
        "PAYMENT_SERVICE_HTTP_PORT": "0",
        "PAYMENT_SERVICE_PROVIDERS": '{"mock": "127.0.0.1:1"}',
    }
    ended = await asyncio.to_thread(process.run, env, "serve")
    assert ended.returncode == 2
    assert binding.id in ended.stderr
    assert "rotate-encryption-key --drop-unreadable" in ended.stderr
    assert "Traceback" not in ended.stderr
    db = await storage.open_database(database_url)
    try:
        vault = secrets.Vault([NEW])
        done = await rotation.rotate(db, vault)
        assert (done.unreadable, done.dropped) == ((binding.id,), 0)
        assert (await rotation.rotate(db, vault, drop_unreadable=True)).dropped == 2
        assert await rotation.rotate(db, vault) == rotation.Rotated()
    finally:
        await db.close()
    async with run(encryption_keys=NEW) as service:
        admin = binding_rig.Admin(service.caller)
        found = (await admin.get(binding.id)).binding
        assert not found.secrets
        found = await admin.update(found, secrets=given)
        assert [each.slot for each in found.secrets] == ["api_key"]


def test_a_missing_or_malformed_key_ends_the_start(
    new_postgres_database: Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """PostgreSQL has replicas, so no key is made for it; the embedded default makes its own."""
    url = new_postgres_database()
    storage.migrate(url, composition.MIGRATIONS)
    env = {"PAYMENT_SERVICE_DATABASE_URL": url}
    ended = process.run(env, "serve")
    assert ended.returncode == 2
    assert ended.stderr.startswith("PAYMENT_SERVICE_ENCRYPTION_KEYS: required with PostgreSQL")
    embedded = {
        "PAYMENT_SERVICE_DATABASE_URL": f"sqlite:///{tmp_path}/own.db",
        "PAYMENT_SERVICE_ENCRYPTION_KEY_PATH": str(tmp_path / "encryption.key"),
    }
    storage.migrate(embedded["PAYMENT_SERVICE_DATABASE_URL"], composition.MIGRATIONS)
    ended = process.run(embedded, "rotate-encryption-key", "--add-key")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("encrypted anew: 0;")
    keys = (tmp_path / "encryption.key").read_text().split()
    assert len(set(keys)) == 2
    assert stat.S_IMODE((tmp_path / "encryption.key").stat().st_mode) == 0o600


async def test_the_environment_makes_the_shared_binding(run: Run) -> None:
    """It changes with the environment, and an operator's change stays until then."""
    first: dict[str, Any]
    first = {"provider_config": {"mock": {"latency_ms": 1}}, "encryption_keys": OLD}
    given = {**first, "provider_secrets": json.dumps({"mock": {"api_key": CANARY.decode()}})}
    other = {**given, "provider_config": {"mock": {"force": "decline"}}}

    async def stands(settings: dict[str, Any]) -> tuple[int, str, list[str]]:
        async with run(**settings) as service:
            admin = binding_rig.Admin(service.caller)
            (shared,) = (await admin.list(tenant_id="*")).bindings
            found = await admin.get(shared.id)
            slots = [each.slot for each in found.binding.secrets]
            return found.binding.generation, found.config_json, slots

    assert await stands(first) == (1, '{"latency_ms":1}', [])
    assert await stands(first) == (1, '{"latency_ms":1}', [])
    assert await stands(given) == (2, '{"latency_ms":1}', ["api_key"])
    async with run(**given) as service:
        admin = binding_rig.Admin(service.caller)
        (shared,) = (await admin.list(tenant_id="*")).bindings
        await admin.update(shared, {"latency_ms": 2})
    assert await stands(given) == (3, '{"latency_ms": 2}', ["api_key"])
    assert (await stands(other))[:2] == (4, '{"force":"decline"}')
    async with run(**other) as service:
        assert rig.state(await service.caller.create()) == "FAILED"


async def test_a_backup_from_the_future_stops_no_backups(
    database_url: str, bank: stack.Stack, tmp_path: pathlib.Path
) -> None:
    """What a clock that was wrong has left is not the newest, nor kept in another's place."""
    future = tmp_path / "bindings-20990101T000000Z.json"
    future.write_text("{}")

    def files() -> int:
        return len(list(tmp_path.glob("bindings-*Z.json")))

    async def written() -> bool:
        return await asyncio.to_thread(files) > 1

    changes: dict[str, Any] = {"backup_dir": tmp_path, "backup_keep": 1}
    async with inside.running(database_url, bank.target(stack.MOCK), **changes):
        await rig.until(written)


@pytest.mark.parametrize("passphrase", [None, "correct horse battery"])
async def test_backups_are_written_kept_and_can_be_imported(
    run: Run, tmp_path: pathlib.Path, passphrase: str | None
) -> None:
    """Readable by their owner alone; secrets only under a passphrase, and sealed."""
    folder = tmp_path / "backups"
    settings = {
        "encryption_keys": OLD,
        "backup_dir": folder,
        "backup_every_s": 1.0,
        "backup_keep": 2,
        "backup_passphrase": passphrase,
    }

    def written() -> list[pathlib.Path]:
        return sorted(folder.glob("bindings-*Z.json")) if folder.exists() else []

    async with run(**settings) as service:
        admin = binding_rig.Admin(service.caller)
        given = [binding_rig.secret("api_key", CANARY)]
        binding = await admin.create(service.caller.tenant, {"latency_ms": 9}, secrets=given)
        seen: set[pathlib.Path] = set()

        async def three() -> bool:
            seen.update(written())
            return len(seen) >= 3

        await rig.until(three)

        async def two_at_most() -> list[pathlib.Path]:
            # The newest one is there before the oldest one goes.
            found = written()
            return found if len(found) <= 2 else []

        kept = await rig.until(two_at_most)
        assert stat.S_IMODE(kept[-1].stat().st_mode) == 0o600
        text = kept[-1].read_text()
        assert CANARY.decode() not in text
        exported = [
            json_format.ParseDict(each, pb.ExportedBinding())
            for each in json.loads(text)["bindings"]
        ]
        own = [each for each in exported if each.tenant_id == service.caller.tenant]
        assert bool(own[0].sealed_secrets) == (passphrase is not None)
        await admin.delete(binding)
        answer = await admin.take_in(own, passphrase=passphrase or "")
        assert binding_rig.outcomes(answer) == ["CREATED"]
        back = await admin.get(binding.id)
        assert back.config_json == '{"latency_ms": 9}'
        assert [each.slot for each in back.binding.secrets] == (["api_key"] if passphrase else [])


async def test_a_ciphertext_of_another_binding_is_not_used(run: Run) -> None:
    """Copied from row to row it opens for nobody: the start says so."""
    async with run(encryption_keys=OLD) as service:
        admin = binding_rig.Admin(service.caller)
        given = [binding_rig.secret("api_key", CANARY)]
        mine = await admin.create(service.caller.tenant, secrets=given)
        theirs = await admin.create("t-somebody", {})
        stored = await service.parts.ctx.db.read(lambda conn: rows.load(conn, mine.id))
        assert stored is not None
        stolen = stored.content.secrets
        other = rows.Sealed(binding_id=theirs.id, generation=0, secrets=b"")
        assert await service.parts.ctx.db.write(lambda c: rows.reseal(c, other, stolen))
        refused = await rig.refusal(admin.get(theirs.id))
        assert (refused.reason, refused.metadata["binding_id"]) == (
            "ENCRYPTION_KEY_MISSING",
            theirs.id,
        )
        assert await admin.get(mine.id)
    with pytest.raises(encryption_keys.KeyProblem, match=theirs.id):
        async with run(encryption_keys=OLD):
            raise AssertionError("it started")
