"""The sidecar against localstripe, a double that others wrote.

It has no payments confirmed as they are made, no metadata on captures, no increments and no
prices, so what is here is what both can do; see docs/stripe-doubles.md.
"""

import asyncio
import pathlib
import sys
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import provider_object_pb2 as pb

from servicekit import ports
from tests import starting
from tests.integration.provider import rig
from tests.integration.provider_stripe import stripe_rig

_O = rig.Operation


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a localstripe of this module's own."""
    folder: pathlib.Path = tmp_path_factory.mktemp("localstripe")
    (port,) = ports.choose(1)
    with (folder / "log.txt").open("w") as log:
        process = starting.popen(
            [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"],
            cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest_asyncio.fixture
async def core(outside: str, tmp_path: pathlib.Path) -> AsyncIterator[stripe_rig.Core]:
    """A sidecar that speaks to localstripe."""

    async def answers() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(outside):
                return True
        except aiohttp.ClientError:
            return False

    await rig.until(answers, timeout_s=30)
    process = await asyncio.to_thread(
        rig.Sidecar, "provider_stripe", tmp_path, {"PROVIDER_STRIPE_API_BASE": outside}
    )
    connected = stripe_rig.Core(process.target, outside)
    await connected.connect()
    try:
        yield connected
    finally:
        await connected.close()
        await asyncio.to_thread(process.stop)


async def test_what_both_can_do_goes_through(core: stripe_rig.Core) -> None:
    """Customers, their methods, refunds, voids and look-ups work with a foreign double."""
    made = await core.create_customer(name="Ada", email="ada@example.com")
    customer = made.provider_object_id
    changed = await core.update_customer(customer, name="Ada L.", email="ada@example.com")
    assert (made.state, changed.state) == (_O.STATE_SUCCEEDED, _O.STATE_SUCCEEDED)
    kept = await core.attach(customer, set_default=True)
    method = kept.objects[0]
    assert (method.core_id, method.payment_method.card.last4) == ("pmt_of_core", "4242")
    fetched = await core.fetch(pb.OBJECT_KIND_PAYMENT_METHOD, method.provider_object_id)
    assert fetched.object.payment_method.is_default

    paid = await core.elsewhere("payment_intents", **_intent(customer, method, "automatic"))
    await core.elsewhere(f"payment_intents/{paid['id']}/confirm")
    sale = _O(provider_object_id=paid["id"])
    back = await core.refund(sale, 300)
    assert (back.state, back.amount) == (_O.STATE_SUCCEEDED, rig.money(300))
    found = await core.look(back.operation_id, "RefundPayment", provider_object_id=paid["id"])
    assert found.operation.provider_operation_id == back.provider_operation_id
    told = await core.fetch(pb.OBJECT_KIND_PAYMENT, paid["id"])
    # It leaves amount_received out, which Stripe always has.
    assert told.object.payment.refunded_minor == 300

    held = await core.elsewhere("payment_intents", **_intent(customer, method, "manual"))
    await core.elsewhere(f"payment_intents/{held['id']}/confirm")
    released = await core.void("op_of_the_authorization", provider_payment_id=held["id"])
    assert released.state == _O.STATE_SUCCEEDED

    detach = mps.DetachPaymentMethodRequest(
        context=core.context(), provider_payment_method_id=method.provider_object_id
    )
    gone = await core.call(core.more.methods.DetachPaymentMethod, detach)
    assert gone.objects[0].payment_method.provider_customer_id == ""


def _intent(customer: str, method: pb.ProviderObject, capture: str) -> dict[str, str]:
    return {
        "amount": "1000",
        "currency": "eur",
        "customer": customer,
        "payment_method": method.provider_object_id,
        "capture_method": capture,
    }
