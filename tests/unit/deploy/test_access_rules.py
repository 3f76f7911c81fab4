"""Who may call what, for every RPC there is: nothing here knows one by name but what is open."""

import importlib
import pathlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from payhub.options.v1 import options_pb2

from event_gateway import access as gateway_access
from event_gateway import composition
from payment_service.api import access as payments_access
from payment_service.usecases import keys, standing
from servicekit import auth, errors, rpc

Authenticate = Callable[[str, rpc.Metadata], Awaitable[auth.Principal | None]]
# Processes of plugins serve these to core, which has no key of theirs.
OF_PLUGINS = ("payhub.plugin.v1.", "payhub.provider.v1.")
# Whose request proves itself.
OPEN = {"payhub.admin.v1.KeyService.IntrospectKey"}
SERVED = {"payments": payments_access.SERVICES, "gateway": composition.SERVICES}


def services() -> Iterator[str]:
    """Yields the full name of every service of the contract that core serves."""
    folder = pathlib.Path(options_pb2.__file__).parents[2]
    for found in folder.rglob("*_pb2.py"):
        name = ".".join(("payhub", *found.relative_to(folder).with_suffix("").parts))
        for service in importlib.import_module(name).DESCRIPTOR.services_by_name.values():
            if not service.full_name.startswith(OF_PLUGINS):
                yield service.full_name


def methods(served: tuple[str, ...]) -> Iterator[MethodDescriptor]:
    """Yields every method of services."""
    for name in served:
        yield from descriptor_pool.Default().FindServiceByName(name).methods


def rule(method: MethodDescriptor) -> options_pb2.Access:
    """Returns what the contract says of a method."""
    options: Any = method.GetOptions()
    access: options_pb2.Access = options.Extensions[options_pb2.access]
    return access


def authenticator(process: str, scopes: tuple[str, ...] | None) -> Authenticate:
    """Returns who lets calls into a process that knows one key, or none."""

    async def look_up(key_id: str, digest: bytes) -> auth.Principal | None:
        if scopes is None:
            return None
        return auth.Principal(tenant_id="one", scopes=frozenset(scopes), key_id=key_id)

    cache = auth.KeyCache(look_up)
    if process == "payments":
        return payments_access.Authenticator(cache, standing.Standing())
    rules = gateway_access.Rules(composition.SERVICES)
    return gateway_access.Gate(rules, cache).authenticate


def test_each_service_is_served_by_one_process_and_each_method_has_a_rule() -> None:
    """A new RPC that forgets who may call it is noticed, and a service that nobody serves."""
    served = [name for names in SERVED.values() for name in names]
    assert sorted(served) == sorted(services())
    for method in methods(tuple(served)):
        access = rule(method)
        assert access.open == (method.full_name in OPEN), method.full_name
        assert access.open or access.scope in keys.SCOPES, method.full_name


def test_no_reader_of_payments_changes_anything() -> None:
    """What has an effect wants more than `payments:read`."""
    for method in methods(payments_access.SERVICES):
        options: Any = method.GetOptions()
        if options.idempotency_level != options.NO_SIDE_EFFECTS:
            assert rule(method).scope != "payments:read", method.full_name


@pytest.mark.parametrize("process", sorted(SERVED))
async def test_a_key_opens_what_its_scope_names_and_nothing_else(process: str) -> None:
    """Every RPC against every scope alone, all others together, an unknown key and no key."""
    bearer = (("authorization", f"Bearer {auth.new_key()[1]}"),)
    held: list[tuple[str, ...] | None] = [None, *((each,) for each in keys.SCOPES)]
    held += [tuple(each for each in keys.SCOPES if each != one) for one in keys.SCOPES]
    for scopes in held:
        ask = authenticator(process, scopes)
        for method in methods(SERVED[process]):
            for metadata in (bearer, ()):
                outcome = await _outcome(ask, method.full_name, metadata)
                assert outcome == _expected(method, scopes if metadata else None), (
                    method.full_name,
                    scopes,
                )


async def _outcome(ask: Authenticate, method: str, metadata: rpc.Metadata) -> str:
    try:
        await ask(method, metadata)
    except errors.RpcError as refused:
        return refused.reason
    return ""


def _expected(method: MethodDescriptor, scopes: tuple[str, ...] | None) -> str:
    if method.full_name in OPEN:
        return ""
    if scopes is None:
        return "KEY_INVALID"
    return "" if rule(method).scope in scopes else "SCOPE_MISSING"
