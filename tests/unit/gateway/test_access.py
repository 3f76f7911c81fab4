"""Who may call what: the contract's rules, tenants, and a key service that is down."""

import grpc
import grpc.aio
import pytest
from payhub.events.v1 import event_ingest_service_pb2 as ingest_pb
from payhub.events.v1 import event_stream_service_pb2 as stream_pb

from event_gateway import access, composition
from servicekit import auth, errors

SUBSCRIBE = f"{composition.SERVICES[0]}.Subscribe"
PUBLISH = f"{composition.INGEST_SERVICE}.PublishEvents"


def principal(*scopes: str, tenant_id: str = "one") -> auth.Principal:
    """A caller."""
    return auth.Principal(tenant_id=tenant_id, scopes=frozenset(scopes), key_id="key")


def gate(found: auth.Principal | Exception | None) -> access.Gate:
    """A gate whose key service answers with *found*."""

    async def lookup(key_id: str, digest: bytes) -> auth.Principal | None:
        if isinstance(found, Exception):
            raise found
        return found

    return access.Gate(access.Rules(composition.SERVICES), auth.KeyCache(lookup))


def bearer() -> list[tuple[str, str]]:
    """Metadata with a well-formed key."""
    return [("authorization", f"Bearer {auth.new_key()[1]}")]


def test_every_method_has_a_rule_in_the_contract() -> None:
    """Scopes and longest deadlines are read from the options of each method."""
    rules = access.Rules(composition.SERVICES)
    for service in (stream_pb, ingest_pb):
        for descriptor in service.DESCRIPTOR.services_by_name.values():
            for method in descriptor.methods:
                assert rules.scope(method.full_name) in {"events:read", "events:publish"}
                streams = method.name == "Subscribe"
                assert (rules.max_deadline_s(method.full_name) is None) == streams
    with pytest.raises(errors.RpcError):
        rules.scope("payhub.events.v1.EventStreamService.Unknown")


async def test_a_key_with_the_scope_is_let_in() -> None:
    """The caller is who the key service says."""
    caller = principal("events:read")
    assert await gate(caller).authenticate(SUBSCRIBE, bearer()) == caller


async def test_a_missing_scope_is_named() -> None:
    """A key without the method's scope is refused with the scope's name."""
    with pytest.raises(errors.RpcError) as refused:
        await gate(principal("events:read", "admin")).authenticate(PUBLISH, bearer())
    assert refused.value.code == grpc.StatusCode.PERMISSION_DENIED
    assert refused.value.metadata["scope"] == "events:publish"


async def test_unknown_keys_and_no_keys_are_unauthenticated() -> None:
    """Nobody is let in without a key that is known."""
    for metadata in (bearer(), [], [("authorization", "Basic abc")]):
        with pytest.raises(errors.RpcError) as refused:
            await gate(None).authenticate(SUBSCRIBE, metadata)
        assert refused.value.reason == "KEY_INVALID"


async def test_a_silent_key_service_means_try_again() -> None:
    """A key that can't be checked is neither accepted nor called wrong."""
    down = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()
    )
    with pytest.raises(errors.RpcError) as refused:
        await gate(down).authenticate(SUBSCRIBE, bearer())
    assert (refused.value.reason, refused.value.retry) == ("UNAVAILABLE", "same_key")


def test_tenants_of_a_filter() -> None:
    """Empty means the caller's own; another one needs the admin scope, own ones never."""
    reader, admin = principal("events:read"), principal("events:read", "admin")
    assert access.tenants(reader, []) == ("one",)
    assert access.tenants(reader, ["one", "one"]) == ("one",)
    assert access.tenants(admin, ["two", "one"]) == ("one", "two")
    assert access.tenants(admin, []) == ("one",)
    for asked in (["two"], ["one", "two"]):
        with pytest.raises(errors.RpcError) as refused:
            access.tenants(reader, asked)
        assert refused.value.reason == "SCOPE_MISSING"


def test_only_the_relay_publishes_for_others() -> None:
    """The tenant `system` may publish for every tenant; no scope widens another key."""
    assert access.may_publish_for(principal(tenant_id="system"), "one")
    assert access.may_publish_for(principal(), "one")
    assert not access.may_publish_for(principal("admin", "events:publish"), "two")
