"""Whose an address of webhooks is, found without naming every tenant each time."""

import tracemalloc
import types
from collections.abc import Callable
from typing import Any, cast

import pytest

from payment_service.domain import bindings, catalog
from payment_service.usecases import context
from payment_service.usecases.webhooks import addresses
from tests import fake_clock

TENANTS = 500


class Keys:
    """A database that holds the tenants of keys alone."""

    def __init__(self) -> None:
        self.tenants = [f"t-{number}" for number in range(TENANTS)]
        self.reads = 0

    async def read(self, fn: Callable[[Any], Any]) -> list[str]:
        """Returns them."""
        self.reads += 1
        return self.tenants


async def test_an_address_costs_nothing_once_its_tenant_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Anybody may ask for addresses that are nobody's, and payments share the process."""
    named: list[str] = []
    name = bindings.binding_id

    def counted(tenant_id: str, provider: str) -> str:
        named.append(tenant_id)
        return name(tenant_id, provider)

    monkeypatch.setattr(bindings, "binding_id", counted)
    keys, time = Keys(), fake_clock.FakeClock()
    store = types.SimpleNamespace(view=catalog.View())
    ctx = types.SimpleNamespace(db=keys, clock=time, catalog=store)
    found = addresses.Addresses(cast(context.Context, ctx))
    nobody = name("nobody", "mock")
    assert await found.tenant("mock", name("t-7", "mock")) == "t-7"
    assert await found.tenant("mock", nobody) == ""
    assert await found.tenant("other", name("t-7", "mock")) == ""
    named.clear()
    for provider, tenant in (("mock", "t-9"), ("other", "t-11"), ("mock", "t-499")):
        assert await found.tenant(provider, name(tenant, provider)) == tenant
        assert await found.tenant(provider, nobody) == ""
    assert named == []
    assert keys.reads == 1
    keys.tenants.append("nobody")
    assert await found.tenant("mock", nobody) == ""
    time.advance(1.1)
    assert await found.tenant("mock", nobody) == "nobody"
    assert named == ["nobody"]
    bound: Any = {("bound", "mock"): object(), (bindings.SHARED, "mock"): object()}
    store.view = catalog.View(bindings=bound)
    assert await found.tenant("mock", name("bound", "mock")) == "bound"
    assert await found.tenant("mock", name(bindings.SHARED, "mock")) == ""
    assert keys.reads == 2


async def test_an_unknown_address_copies_no_list_of_tenants() -> None:
    """With very many tenants each request of anybody would keep payments waiting."""
    store = types.SimpleNamespace(view=catalog.View())
    ctx = types.SimpleNamespace(db=Keys(), clock=fake_clock.FakeClock(), catalog=store)
    found = addresses.Addresses(cast(context.Context, ctx))
    nobody = bindings.binding_id("nobody", "mock")
    assert await found.tenant("mock", nobody) == ""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        assert await found.tenant("mock", nobody) == ""
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most - before < TENANTS * 16
