"""API keys: made once, shown once, revoked for good."""

import base64
import hashlib
from typing import Any

import grpc
from payhub.admin.v1 import key_service_pb2 as pb

from servicekit import auth
from tests.integration.payment_service import conftest, rig


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
