"""What is refused, how the caller hears why, and that nothing is stored of it."""

import base64
import json
from typing import Any

import grpc
import pytest
from google.protobuf import timestamp_pb2
from payhub.admin.v1 import key_service_pb2 as keys_pb
from payhub.payments.v1 import checkout_service_pb2 as checkouts_pb
from payhub.payments.v1 import checkout_service_pb2_grpc as checkouts_pb2_grpc
from payhub.payments.v1 import customer_service_pb2 as customers_pb
from payhub.payments.v1 import payment_service_pb2 as payments_pb
from payhub.payments.v1 import refund_service_pb2 as refunds_pb
from payhub.type.v1 import money_pb2

from tests.integration.payment_service import conftest, rig

PAYMENT_ID = f"pay_{'0' * 32}"
CUSTOMER_ID = f"cus_{'0' * 32}"
CODE = grpc.StatusCode


def creation(**changes: Any) -> payments_pb.CreatePaymentRequest:
    """Returns a request that is right but for *changes*."""
    fields: dict[str, Any] = {
        "idempotency_key": "k",
        "amount": rig.money(1000),
        "payment_method": "tok_approve",
        "confirm": True,
    }
    return payments_pb.CreatePaymentRequest(**(fields | changes))


def metadata(**pairs: str) -> dict[str, Any]:
    """Returns references with metadata."""
    return {"metadata": pairs}


INVALID_CREATIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "amount 0": ({"amount": rig.money(0)}, ["amount.amount_minor"]),
    "amount below 0": ({"amount": rig.money(-1)}, ["amount.amount_minor"]),
    "no amount": ({"amount": None}, ["amount"]),
    "no currency": ({"amount": rig.money(1, "")}, ["amount.currency_code"]),
    "unknown currency": ({"amount": rig.money(1, "XXQ")}, ["amount.currency_code"]),
    "lower case": ({"amount": rig.money(1, "eur")}, ["amount.currency_code"]),
    "a metal": ({"amount": rig.money(1, "XAU")}, ["amount.currency_code"]),
    "a fund": ({"amount": rig.money(1, "CLF")}, ["amount.currency_code"]),
    "a test code": ({"amount": rig.money(1, "XTS")}, ["amount.currency_code"]),
    "foreign letters": ({"amount": rig.money(1, "€UR")}, ["amount.currency_code"]),
    "a line more": ({"amount": rig.money(1, "EUR\n")}, ["amount.currency_code"]),
    "both wrong": (
        {"amount": rig.money(0, "euro")},
        ["amount.amount_minor", "amount.currency_code"],
    ),
    "no key": ({"idempotency_key": ""}, ["idempotency_key"]),
    "long key": ({"idempotency_key": "k" * 129}, ["idempotency_key"]),
    "33 entries": (
        {"references": metadata(**{f"k{n}": "" for n in range(33)})},
        ["references.metadata"],
    ),
    "empty entry key": ({"references": metadata(**{"": "v"})}, ['references.metadata[""]']),
    "long entry key": (
        {"references": metadata(**{"k" * 65: "v"})},
        [f'references.metadata["{"k" * 65}"]'],
    ),
    "long entry": ({"references": metadata(k="v" * 513)}, ['references.metadata["k"]']),
    "long user": ({"references": {"user_id": "u" * 129}}, ["references.user_id"]),
    "long order": ({"references": {"order_id": "o" * 129}}, ["references.order_id"]),
    "long customer": ({"references": {"customer_id": "c" * 65}}, ["references.customer_id"]),
    "long token": ({"payment_method": "t" * 256}, ["payment_method"]),
    "long text": ({"description": "d" * 513}, ["description"]),
    "long url": ({"return_url": f"https://{'u' * 2041}"}, ["return_url"]),
    "a script": ({"return_url": "JavaScript://x/%0aalert(1)"}, ["return_url"]),
    "a file": ({"return_url": "file:///etc/passwd"}, ["return_url"]),
    "a path alone": ({"return_url": "/back"}, ["return_url"]),
    "a host alone": ({"return_url": "shop.example/back"}, ["return_url"]),
    "url of nothing": ({"return_url": "https://"}, ["return_url"]),
    "blank in a url": ({"return_url": "https://shop.example/ back"}, ["return_url"]),
    "long provider": ({"provider": "p" * 64}, ["provider"]),
    "unknown method": ({"capture_method": 7}, ["capture_method"]),
    "confirm without method": ({"payment_method": ""}, ["payment_method"]),
    "NUL in a text": ({"description": "a\0b"}, ["description"]),
    "NUL in a reference": ({"references": {"order_id": "\0"}}, ["references.order_id"]),
    "NUL in metadata": (
        {"references": metadata(**{"k\0": "v", "l": "\0"})},
        ['references.metadata["k\\0"]', 'references.metadata["l"]'],
    ),
    "NUL in the key": ({"idempotency_key": "a\0"}, ["idempotency_key"]),
}


async def test_each_invalid_field_of_a_payment_is_named(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """INVALID_ARGUMENT with the path of every wrong field, and nothing is stored."""
    before = service.records.counts(), service.records.of_tenant(caller.tenant)
    for what, (changes, fields) in INVALID_CREATIONS.items():
        request = creation(**changes)
        refused = await rig.refusal(caller.call(caller.payments.CreatePayment, request))
        assert refused.code is CODE.INVALID_ARGUMENT, what
        assert refused.reason == "INVALID_FIELD", what
        assert sorted(refused.fields) == sorted(fields), what
        assert refused.metadata["retry"] == "never", what
        after = service.records.counts(), service.records.of_tenant(caller.tenant)
        assert after == before, what


def _calls(caller: rig.Caller) -> dict[str, tuple[Any, Any, list[str]]]:
    pay, back, who, keys = caller.payments, caller.refunds, caller.customers, caller.keys
    key: dict[str, Any] = {"idempotency_key": "k"}
    get, confirm = payments_pb.GetPaymentRequest, payments_pb.ConfirmPaymentRequest
    capture, cancel = payments_pb.CapturePaymentRequest, payments_pb.CancelPaymentRequest
    # Not their types: they are given what no enumeration has.
    lists: Any = payments_pb.ListPaymentsRequest
    refund: Any = refunds_pb.CreateRefundRequest
    update, profile = customers_pb.UpdateCustomerRequest, customers_pb.CustomerProfile
    create = customers_pb.CreateCustomerRequest
    far = timestamp_pb2.Timestamp(seconds=2**62)
    return {
        "payment id": (pay.GetPayment, get(payment_id="pay_1"), ["payment_id"]),
        "id of a customer": (pay.GetPayment, get(payment_id=CUSTOMER_ID), ["payment_id"]),
        "id in capitals": (pay.GetPayment, get(payment_id=PAYMENT_ID.upper()), ["payment_id"]),
        "id and a line": (pay.GetPayment, get(payment_id=f"{PAYMENT_ID}\n"), ["payment_id"]),
        "no id": (pay.GetPayment, get(), ["payment_id"]),
        "confirm": (
            pay.ConfirmPayment,
            confirm(payment_id=PAYMENT_ID),
            ["idempotency_key"],
        ),
        "confirm what": (
            pay.ConfirmPayment,
            confirm(**key, payment_id="x", payment_method="t"),
            ["payment_id"],
        ),
        "confirm and return": (
            pay.ConfirmPayment,
            confirm(**key, payment_id=PAYMENT_ID, payment_method="t", return_url="back"),
            ["return_url"],
        ),
        "confirm and run": (
            pay.ConfirmPayment,
            confirm(**key, payment_id=PAYMENT_ID, payment_method="t", return_url="data://x"),
            ["return_url"],
        ),
        "check out and run": (
            checkouts_pb2_grpc.CheckoutServiceStub(caller.channel).CreateCheckout,
            checkouts_pb.CreateCheckoutRequest(
                **key,
                customer_id="cus_018f7e6e3a7b7c7e8a2b1b2c3d4e5f60",
                amount=rig.money(1),
                success_url="https://shop.example/done",
                cancel_url="javascript://shop.example/%0aalert(1)",
            ),
            ["cancel_url"],
        ),
        "check out and return": (
            checkouts_pb2_grpc.CheckoutServiceStub(caller.channel).CreateCheckout,
            checkouts_pb.CreateCheckoutRequest(
                **key,
                amount=rig.money(1),
                success_url="javascript:done()",
                cancel_url="back",
            ),
            ["success_url", "cancel_url"],
        ),
        "capture 0": (
            pay.CapturePayment,
            capture(**key, payment_id=PAYMENT_ID, amount=rig.money(0)),
            ["amount.amount_minor"],
        ),
        "capture in nothing": (
            pay.CapturePayment,
            capture(**key, payment_id=PAYMENT_ID, amount=rig.money(1, "XXX")),
            ["amount.currency_code"],
        ),
        "cancel": (
            pay.CancelPayment,
            cancel(payment_id="x", reason="r" * 513),
            ["idempotency_key", "payment_id", "reason"],
        ),
        "refund": (
            back.CreateRefund,
            refund(payment_id="x", amount=rig.money(-5, "e"), reason=99, note="n" * 513),
            [
                "idempotency_key",
                "payment_id",
                "amount.amount_minor",
                "amount.currency_code",
                "reason",
                "note",
            ],
        ),
        "refund id": (back.GetRefund, refunds_pb.GetRefundRequest(refund_id="1"), ["refund_id"]),
        "page below 0": (pay.ListPayments, lists(page_size=-1), ["page_size"]),
        "page too large": (pay.ListPayments, lists(page_size=201), ["page_size"]),
        "unknown states": (pay.ListPayments, lists(states=[1, 77, 0]), ["states[1]", "states[2]"]),
        "a state twice": (pay.ListPayments, lists(states=[1, 1]), ["states"]),
        "long filter": (pay.ListPayments, lists(user_id="u" * 129), ["user_id"]),
        "NUL in a filter": (pay.ListPayments, lists(order_id="\0"), ["order_id"]),
        "time before time": (
            pay.ListPayments,
            lists(created_from=timestamp_pb2.Timestamp(seconds=-1)),
            ["created_from"],
        ),
        "customer of another kind": (
            pay.ListPayments,
            lists(customer_id=PAYMENT_ID),
            ["customer_id"],
        ),
        "payment of another kind": (
            back.ListRefunds,
            refunds_pb.ListRefundsRequest(payment_id=CUSTOMER_ID),
            ["payment_id"],
        ),
        "no time between": (
            pay.ListPayments,
            lists(
                created_from=timestamp_pb2.Timestamp(seconds=9),
                created_before=timestamp_pb2.Timestamp(seconds=9),
            ),
            ["created_before"],
        ),
        "time after time": (pay.ListPayments, lists(created_before=far), ["created_before"]),
        "long page token": (pay.ListPayments, lists(page_token="t" * 513), ["page_token"]),
        "customer id": (
            who.GetCustomer,
            customers_pb.GetCustomerRequest(customer_id="cus_"),
            ["customer_id"],
        ),
        "customer": (
            who.CreateCustomer,
            create(**key, profile=profile(name="n" * 257, email="not an address")),
            ["profile.name", "profile.email"],
        ),
        "nobody": (who.CreateCustomer, create(**key), ["profile"]),
        "NUL in a name": (
            who.CreateCustomer,
            create(**key, profile=profile(name="\0")),
            ["profile.name"],
        ),
        "update of nothing": (
            who.UpdateCustomer,
            update(**key, customer_id=CUSTOMER_ID),
            ["profile"],
        ),
        "mask": (
            who.UpdateCustomer,
            update(
                **key,
                customer_id=CUSTOMER_ID,
                profile=profile(),
                update_mask={"paths": ["email", "profile.name"]},
            ),
            ["update_mask.paths[1]"],
        ),
        "key for nobody": (
            keys.CreateKey,
            keys_pb.CreateKeyRequest(tenant_id="Not A Tenant", scopes=["root"], name=""),
            ["tenant_id", "scopes[0]", "name"],
        ),
        "key without scopes": (
            keys.CreateKey,
            keys_pb.CreateKeyRequest(tenant_id="t", name="n"),
            ["scopes"],
        ),
        "digest": (
            keys.IntrospectKey,
            keys_pb.IntrospectKeyRequest(key_id="", key_sha256=b"short"),
            ["key_id", "key_sha256"],
        ),
    }


async def test_each_invalid_field_of_every_call_is_named(
    service: conftest.Service, join: conftest.Join
) -> None:
    """Whatever the RPC: INVALID_ARGUMENT, paths of all wrong fields, nothing stored."""
    caller = await join(service, (*rig.PAY, "admin"))
    before = service.records.counts(), service.records.of_tenant(caller.tenant)
    for what, (method, request, fields) in _calls(caller).items():
        refused = await rig.refusal(caller.call(method, request))
        assert refused.code is CODE.INVALID_ARGUMENT, what
        assert refused.reason == "INVALID_FIELD", what
        assert sorted(refused.fields) == sorted(fields), what
    assert (service.records.counts(), service.records.of_tenant(caller.tenant)) == before


async def test_the_largest_amount_is_taken_and_more_can_not_be_written(
    caller: rig.Caller,
) -> None:
    """Amounts are int64: 2^63-1 is paid, captured and refunded like any other."""
    with pytest.raises(ValueError, match="out of range"):
        money_pb2.Money(amount_minor=2**63)
    most = 2**63 - 1
    payment = await caller.create(amount_minor=most, manual=True)
    captured = await caller.capture(payment.id, most)
    assert rig.amounts(captured) == (most, most, 0, 0, 0)
    assert rig.state(await caller.refund(payment.id, most)) == "SUCCEEDED"


async def test_payers_come_back_to_pages_and_apps(caller: rig.Caller) -> None:
    """`return_url` is of the web or of an app, or left out."""
    for place in ("", "https://shop.example/?id={ID}", "http://localhost:80/ü", "shop-app://paid"):
        paid = await caller.create(return_url=place)
        assert rig.state(paid) == "SUCCEEDED", place


async def test_page_tokens_are_of_their_query_alone(
    service: conftest.Service, join: conftest.Join
) -> None:
    """Garbage, another query's token and a forged one are refused, not guessed at."""
    caller = await join(service, (*rig.PAY, "admin"))
    for _ in range(2):
        await caller.create(token="", confirm=False)
    token = (await caller.list(page_size=1)).next_page_token
    digest, _ = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))

    def forged(last: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps([digest, last]).encode()).decode()

    wrong = ["x", "%%%", "ü", token[:-2], f"{token}A", "W10", "e30", "bnVsbA", "[" * 512]
    values = (7, None, [1, 2], {"a": 1}, 1.5, True, "a\0", "", "\ud800")
    wrong += [forged(last) for last in values]
    deep = base64.urlsafe_b64encode(b"[" * 380).decode()
    for page_token in (*wrong, deep):
        refused = await rig.refusal(caller.list(page_size=1, page_token=page_token))
        assert refused.code is CODE.INVALID_ARGUMENT, page_token
        assert refused.reason == "PAGE_TOKEN_INVALID", page_token
        assert refused.fields == ["page_token"]
    for changed in ({"order_id": "o"}, {"states": [1]}, {"created_from": {"seconds": 1}}):
        refused = await rig.refusal(caller.list(page_size=1, page_token=token, **changed))
        assert refused.reason == "PAGE_TOKEN_INVALID"
    refused = await rig.refusal(caller.list_refunds(page_token=token))
    assert refused.reason == "PAGE_TOKEN_INVALID"
    assert len((await caller.list(page_size=5, page_token=token)).payments) == 1


async def test_forged_page_tokens_of_keys_are_refused(service: conftest.Service) -> None:
    """Also where a page continues after two values."""
    async with service.admin() as admin:
        for _ in range(2):
            await admin.create_key("t-paged")
        request = keys_pb.ListKeysRequest(tenant_id="t-paged", page_size=1)
        token = (await admin.call(admin.keys.ListKeys, request)).next_page_token
        digest, *_ = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        pairs: tuple[list[Any], ...]
        pairs = ([], [1], ["a", "b"], [1, 2], [None, "a"], [2**70, "a"], [-1, "a"], [1, "a", 3])
        for last in pairs:
            content = json.dumps([digest, *last]).encode()
            request.page_token = base64.urlsafe_b64encode(content).decode()
            refused = await rig.refusal(admin.call(admin.keys.ListKeys, request))
            assert refused.reason == "PAGE_TOKEN_INVALID", last


async def test_the_currency_must_be_that_of_the_payment(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """In captures and refunds it may be left out with the amount, and not be another."""
    held, paid = await caller.create(manual=True), await caller.create()
    before = service.records.of_tenant(caller.tenant)
    for call in (caller.capture(held.id, 100, "USD"), caller.refund(paid.id, 100, "USD")):
        refused = await rig.refusal(call)
        assert refused.code is CODE.INVALID_ARGUMENT
        assert refused.fields == ["amount.currency_code"]
    assert service.records.of_tenant(caller.tenant) == before


async def test_every_call_needs_a_deadline(caller: rig.Caller, service: conftest.Service) -> None:
    """Without one it is refused before anything happens."""
    refused = await rig.refusal(
        caller.call(caller.payments.CreatePayment, creation(), timeout_s=None)
    )
    assert refused.code is CODE.INVALID_ARGUMENT
    assert refused.reason == "DEADLINE_REQUIRED"
    assert not service.records.of_tenant(caller.tenant)["payments"]


async def test_messages_are_limited_and_must_be_messages(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """More than 4 MiB is RESOURCE_EXHAUSTED, bytes that are no message INVALID_ARGUMENT."""
    big = creation(description="x" * (4 * 1024 * 1024))
    refused = await rig.refusal(caller.call(caller.payments.CreatePayment, big))
    assert refused.code is CODE.RESOURCE_EXHAUSTED
    raw: Any = caller.channel.unary_unary("/payhub.payments.v1.PaymentService/CreatePayment")
    for body in (b"\xff\xff\xff no message", b"\x0a\x02\xff\xfe", b"\x12\x7f"):
        refused = await rig.refusal(caller.call(raw, body))
        assert refused.code is CODE.INVALID_ARGUMENT
    unknown: Any = caller.channel.unary_unary("/payhub.payments.v1.PaymentService/StealPayment")
    refused = await rig.refusal(caller.call(unknown, b""))
    assert refused.code is CODE.UNIMPLEMENTED
    assert not service.records.of_tenant(caller.tenant)["payments"]
