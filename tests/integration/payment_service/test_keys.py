"""API keys: made once, shown once, revoked for good."""

import base64
import contextlib
import dataclasses
import hashlib
from typing import Any

import grpc
from payhub.admin.v1 import key_events_pb2
from payhub.admin.v1 import key_service_pb2 as pb

from deploy import stack
from payment_service.db import keys as rows
from payment_service.domain import model
from servicekit import auth
from tests.integration.payment_service import conftest, inside, records, rehearsing, rig


async def test_a_made_key_works_for_its_tenant_and_scopes(
    service: conftest.Service, join: conftest.Join
) -> None:
    """The secret is in the one response; the list shows everything else."""
    caller = await join(service)
    async with service.admin() as admin:
        listed = await admin.call(admin.keys.ListKeys, pb.ListKeysRequest(tenant_id=caller.tenant))
        (key,) = listed.keys
        assert key.id == auth.parse_key(caller.key)
        assert (key.tenant_id, list(key.scopes), key.name) == (
            caller.tenant,
            list(rig.PAY),
            "test",
        )
        assert not key.HasField("revoke_time")
        assert caller.key not in str(listed)
    assert (await caller.create()).id


async def test_a_revoked_key_stops_working_at_once(
    service: conftest.Service, join: conftest.Join
) -> None:
    """Here without waiting for a cache; revoking again changes nothing; others go on."""
    caller, colleague = await join(service), await join(service)
    await caller.list()
    async with service.admin() as admin:
        request = pb.RevokeKeyRequest(key_id=auth.parse_key(caller.key))
        revoked = (await admin.call(admin.keys.RevokeKey, request)).key
        assert revoked.HasField("revoke_time")
        assert (await admin.call(admin.keys.RevokeKey, request)).key == revoked
        for call in (caller.list(), caller.create()):
            refused = await rig.refusal(call)
            assert refused.code is grpc.StatusCode.UNAUTHENTICATED
            assert refused.reason == "KEY_INVALID"
        await colleague.list()
        unknown = admin.call(admin.keys.RevokeKey, pb.RevokeKeyRequest(key_id="nobody"))
        assert (await rig.refusal(unknown)).code is grpc.StatusCode.NOT_FOUND
    assert not service.records.of_tenant(caller.tenant)["payments"]


async def test_keys_are_listed_in_pages_newest_first(service: conftest.Service) -> None:
    """Pages join to the whole, of one tenant or of all."""
    async with service.admin() as admin:
        tenant = f"t-{rig.new_key()[:12]}"
        made = [(await admin.create_key(tenant, name=str(n))).key.id for n in range(5)]

        async def pages(**filters: Any) -> list[str]:
            seen, token = [], ""
            while True:
                request = pb.ListKeysRequest(page_size=2, page_token=token, **filters)
                page = await admin.call(admin.keys.ListKeys, request)
                seen += [key.id for key in page.keys]
                token = page.next_page_token
                if not token:
                    return seen

        assert await pages(tenant_id=tenant) == made[::-1]
        everybody = await pages()
        assert everybody[:5] == made[::-1]
        assert len(everybody) == len(set(everybody)) == service.records.counts()["api_keys"]


async def test_introspection_believes_only_the_digest_of_the_whole_key(
    service: conftest.Service, join: conftest.Join
) -> None:
    """It needs no key of its own: whoever knows the digest has seen the key."""
    caller = await join(service, ("events:read", "payments:read"))
    key_id = auth.parse_key(caller.key)

    async def ask(key_id: str, full: str) -> pb.IntrospectKeyResponse:
        digest = hashlib.sha256(full.encode()).digest()
        request = pb.IntrospectKeyRequest(key_id=key_id, key_sha256=digest)
        async with rig.Caller(service.target, "") as nobody:
            found: pb.IntrospectKeyResponse = await nobody.call(nobody.keys.IntrospectKey, request)
        return found

    found = await ask(key_id, caller.key)
    assert found == pb.IntrospectKeyResponse(
        active=True, tenant_id=caller.tenant, scopes=["events:read", "payments:read"]
    )
    inactive = pb.IntrospectKeyResponse()
    assert await ask(key_id, f"{caller.key}x") == inactive
    assert await ask(key_id, key_id) == inactive
    assert await ask("aaaaaaaaaaaaaaaa", caller.key) == inactive
    async with service.admin() as admin:
        await admin.call(admin.keys.RevokeKey, pb.RevokeKeyRequest(key_id=key_id))
    assert await ask(key_id, caller.key) == inactive


async def test_no_secret_of_a_key_is_in_the_database(
    service: conftest.Service, join: conftest.Join
) -> None:
    """Of each key only the SHA-256 is stored, also of those made at start."""
    caller = await join(service)
    await caller.create()
    keys = [caller.key, service.processes.dev_key()]
    stored = repr([service.records.rows(f"select * from {table}") for table in ("api_keys",)])
    everything = repr(service.records.of_tenant(caller.tenant, "default"))
    for key in keys:
        secret = key.split("_", 2)[2]
        for text in (stored, everything):
            assert secret not in text
            assert base64.b64encode(key.encode()).decode() not in text
    (digest,) = service.records.rows(
        "select sha256 from api_keys where id = ?", auth.parse_key(caller.key)
    )
    assert bytes(digest[0]) == hashlib.sha256(caller.key.encode()).digest()


async def test_a_key_tells_when_it_is_made_and_revoked(service: conftest.Service) -> None:
    """One event each, to administrators, with who did it, never the secret; a repeat none."""
    tenant = f"t-{rig.new_key()[:12]}"
    async with service.admin() as admin:
        made = await admin.create_key(tenant, name="till")
        request = pb.RevokeKeyRequest(key_id=made.key.id)
        revoked = (await admin.call(admin.keys.RevokeKey, request)).key
        await admin.call(admin.keys.RevokeKey, request)
        actor = f"key:{auth.parse_key(admin.key)}"
    told = service.records.events(made.key.id)
    assert [(event.type, event.entity_version) for event in told] == [
        ("api_key.created", 1),
        ("api_key.revoked", 2),
    ]
    for event in told:
        assert (event.tenant_id, event.entity_type) == ("system", "api_key")
        assert event.cause.actor == actor
        assert event.cause.correlation_id
        assert made.secret.split("_", 2)[2].encode() not in event.SerializeToString()
    first, second = (key_events_pb2.KeyEvent.FromString(event.data) for event in told)
    assert (first.key, second.key) == (made.key, revoked)
    assert not first.changed.paths
    assert list(second.changed.paths) == ["revoke_time"]
    assert second.HasField("previous")


async def test_keys_made_at_start_are_told_once(service: conftest.Service) -> None:
    """Nobody called for them: core says so."""
    (told,) = service.records.events(auth.parse_key(service.processes.dev_key()))
    assert (told.type, told.entity_version, told.cause.actor) == ("api_key.created", 1, "core")
    assert key_events_pb2.KeyEvent.FromString(told.data).key.tenant_id == "default"


async def test_a_key_of_before_its_events_begins_with_its_end(
    database_url: str, bank: stack.Stack
) -> None:
    """Versions are dense from 1, or the gateway would refuse all events of the key for ever."""
    target = bank.target(stack.MOCK)
    async with inside.running(database_url, target, wrap=rehearsing.Rehearsing) as service:
        parts = service.parts
        made, _ = await parts.keys.create(tenant_id="shop", scopes=rig.PAY, name="till")
        old = dataclasses.replace(made, id="old", version=0)
        assert await parts.ctx.db.write(lambda conn: rows.insert(conn, old))
        await parts.keys.revoke(old.id, model.Cause(actor="key:someone"))
    with contextlib.closing(records.Records(database_url)) as stored:
        (told,) = stored.events(old.id)
        assert (told.type, told.entity_version) == ("api_key.revoked", 1)
        (first,) = stored.events(made.id)
        assert (first.type, first.cause.actor) == ("api_key.created", "command")
