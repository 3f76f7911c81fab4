"""Who may do what, to what, and when: refusals that store nothing."""

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pool
from payhub.admin.v1 import key_service_pb2 as keys_pb

from payment_service.api import access
from servicekit import auth
from tests.integration.payment_service import conftest, rig

PAYMENT_ID = f"pay_{'0' * 32}"
CUSTOMER_ID = f"cus_{'0' * 32}"
REFUND_ID = f"ref_{'0' * 32}"
CODE = grpc.StatusCode

Everything = list[tuple[str, Callable[[rig.Caller], Any]]]


def everything_on(payment_id: str, refund_id: str, customer_id: str) -> Everything:
    """Returns every call that names something."""
    return [
        ("get", lambda c: c.get(payment_id)),
        ("confirm", lambda c: c.confirm(payment_id)),
        ("capture", lambda c: c.capture(payment_id)),
        ("cancel", lambda c: c.cancel(payment_id)),
        ("refund", lambda c: c.refund(payment_id)),
        ("get refund", lambda c: c.get_refund(refund_id)),
        ("get customer", lambda c: c.get_customer(customer_id)),
        ("update customer", lambda c: c.update_customer(customer_id, name="x")),
        ("pay for customer", lambda c: c.create(references={"customer_id": customer_id})),
    ]


async def test_what_does_not_exist_and_what_is_another_tenants_look_the_same(
    caller: rig.Caller, service: conftest.Service, join: conftest.Join
) -> None:
    """NOT_FOUND for both, nothing is stored of it, and lists show only one's own."""
    stranger = await join(service)
    payment = await caller.create(manual=True)
    captured = await caller.capture(payment.id, 500, more=True)
    refund = await caller.refund(payment.id, 100)
    customer = await caller.create_customer(name="Ada")
    before = service.records.of_tenant(caller.tenant, stranger.tenant)
    real = everything_on(captured.id, refund.id, customer.id)
    unknown = everything_on(PAYMENT_ID, REFUND_ID, CUSTOMER_ID)
    for name, call in (*real, *unknown):
        refused = await rig.refusal(call(stranger))
        assert refused.code is CODE.NOT_FOUND, name
        assert refused.reason == "RESOURCE_NOT_FOUND", name
    assert not (await stranger.list()).payments
    assert not (await stranger.list_refunds(payment_id=payment.id)).refunds
    assert service.records.of_tenant(caller.tenant, stranger.tenant) == before


async def test_a_wrong_state_is_refused_with_what_is_allowed(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """FAILED_PRECONDITION names the state and the actions that are possible instead."""
    created = await caller.create(token="", confirm=False)
    held = await caller.create(manual=True)
    paid = await caller.create()
    failed = await caller.create("tok_decline")
    canceled = await caller.cancel((await caller.create(token="", confirm=False)).id)
    waiting = await caller.create("tok_action_required")

    def stored() -> Any:
        rows = service.records.of_tenant(caller.tenant)
        # What waits for its payer is looked up now and then, which is counted there.
        return rows | {"operations": len(rows["operations"])}

    before = stored()
    calls: dict[str, Callable[[str], Any]] = {
        "confirm": caller.confirm,
        "capture": caller.capture,
        "cancel": caller.cancel,
        "refund": caller.refund,
    }
    allowed = {
        created.id: "confirm,cancel",
        held.id: "capture,cancel,increment",
        paid.id: "refund",
        failed.id: "confirm,cancel",
        canceled.id: "",
        waiting.id: "cancel",
    }
    for payment in (created, held, paid, failed, canceled, waiting):
        for name, call in calls.items():
            if name in allowed[payment.id].split(","):
                continue
            refused = await rig.refusal(call(payment.id))
            assert refused.code is CODE.FAILED_PRECONDITION
            assert refused.reason == "STATE_CONFLICT"
            assert refused.metadata["state"] == f"STATE_{rig.state(payment)}"
            assert refused.metadata["allowed_actions"] == allowed[payment.id]
            # One whose payer is waited for is over some time, and then a new request is safe.
            assert refused.metadata["retry"] == ("new_key" if payment is waiting else "never")
    refused = await rig.refusal(caller.capture(held.id, 1001))
    assert refused.reason == "AMOUNT_EXCEEDED"
    assert refused.metadata["max_amount_minor"] == "1000"
    assert stored() == before


async def test_nobody_is_served_without_a_valid_key(
    service: conftest.Service, join: conftest.Join
) -> None:
    """No key, a malformed, an unknown and a half-right one: UNAUTHENTICATED, nothing stored."""
    caller = await join(service)
    half_right = f"{caller.key[:-4]}AAAA"
    before = service.records.counts(), service.records.of_tenant(caller.tenant)
    create: Everything = [("create", lambda c: c.create())]
    wrong = ["", "x", "phk_x_y", auth.new_key()[1], half_right, f"{caller.key} "]
    for key in wrong:
        async with rig.Caller(service.target, "") as nobody:
            if key:
                nobody.metadata = (("authorization", f"Bearer {key}"),)
            for _, call in (*create, *everything_on(PAYMENT_ID, REFUND_ID, CUSTOMER_ID)):
                refused = await rig.refusal(call(nobody))
                assert refused.code is CODE.UNAUTHENTICATED, key
                assert refused.reason == "KEY_INVALID"
    async with rig.Caller(service.target, "") as basic:
        basic.metadata = (("authorization", "Basic dTpw"),)
        assert (await rig.refusal(basic.list())).code is CODE.UNAUTHENTICATED
    assert (service.records.counts(), service.records.of_tenant(caller.tenant)) == before


async def test_every_method_asks_for_a_key(service: conftest.Service) -> None:
    """Whatever the process serves goes through the authentication, but for what is open."""
    async with rig.Caller(service.target, "") as nobody:
        channel: Any = nobody.channel
        for name in access.SERVICES:
            for method in descriptor_pool.Default().FindServiceByName(name).methods:
                call = channel.unary_unary(f"/{name}/{method.name}")(b"", timeout=rig.TIMEOUT_S)
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call
                opens = method.name == "IntrospectKey"
                expected = CODE.INVALID_ARGUMENT if opens else CODE.UNAUTHENTICATED
                assert refused.value.code() is expected, method.full_name


async def test_a_key_does_what_its_scopes_say(
    service: conftest.Service, join: conftest.Join
) -> None:
    """Readers can't write, writers can't read, and neither administers: PERMISSION_DENIED."""
    reader = await join(service, ("payments:read",))
    writer = await join(service, ("payments:write",))
    other = await join(service, ("events:read", "events:publish"))
    before = service.records.of_tenant(reader.tenant, writer.tenant, other.tenant)
    calls = everything_on(PAYMENT_ID, REFUND_ID, CUSTOMER_ID)
    for name, call in (*calls, ("create", lambda c: c.create())):
        needs = "payments:read" if name.startswith("get") else "payments:write"
        denied = [other, writer if needs == "payments:read" else reader]
        for one in denied:
            refused = await rig.refusal(call(one))
            assert refused.code is CODE.PERMISSION_DENIED, name
            assert refused.reason == "SCOPE_MISSING"
            assert refused.metadata["scope"] == needs
    for one in (reader, writer, other):
        for asked in (
            one.create_key("t-new"),
            one.call(one.keys.ListKeys, keys_pb.ListKeysRequest()),
            one.call(one.keys.RevokeKey, keys_pb.RevokeKeyRequest(key_id="k")),
            one.call(one.status.GetStatus, rig.status_request()),
        ):
            refused = await rig.refusal(asked)
            assert refused.code is CODE.PERMISSION_DENIED
            assert refused.metadata["scope"] == "admin"
    assert service.records.of_tenant(reader.tenant, writer.tenant, other.tenant) == before


async def test_a_services_key_names_what_it_publishes(
    service: conftest.Service, join: conftest.Join
) -> None:
    """The gateway hears of the namespaces a key was made for; what core alone tells, a key
    that publishes nothing and a plugin's key can't be given any.
    """
    admin = await join(service, ("admin",))

    async def made(**fields: Any) -> Any:
        wanted = {"tenant_id": admin.tenant, "scopes": ["events:publish"], "name": "n", **fields}
        return await admin.call(admin.keys.CreateKey, keys_pb.CreateKeyRequest(**wanted))

    key = await made(publish_types=["user.*", "balance.changed"])
    assert list(key.key.publish_types) == ["user.*", "balance.changed"]
    known = await admin.call(
        admin.keys.IntrospectKey,
        keys_pb.IntrospectKeyRequest(key_id=key.key.id, key_sha256=auth.digest(key.secret)),
    )
    assert (known.plugin_id, list(known.publish_types)) == ("", ["user.*", "balance.changed"])
    assert not (await made()).key.publish_types
    for field, wrong in (
        ("publish_types[1]", {"publish_types": ["user.*", "payment.succeeded"]}),
        ("publish_types[0]", {"publish_types": ["User"]}),
        ("publish_types", {"publish_types": ["user.*"], "scopes": ["events:read"]}),
        ("publish_types", {"publish_types": ["user.*"], "plugin_id": "acme"}),
    ):
        refused = await rig.refusal(made(**wrong))
        assert refused.fields == [field]
