"""One payment, refund and customer in which every field has a value of its own.

Owns what the tests of snapshots and events read. Called by those tests. Never a
payment that could exist: a field left out would hide one that is not copied.
"""

from payment_service.domain import model
from tests.unit.payment_service import build

FAILURE = model.Failure(
    kind=model.FailureKind.DECLINED,
    reason="INSUFFICIENT_FUNDS",
    provider_code="51",
    retryable_later=True,
)
ACTION = model.CustomerAction(
    redirect_url="https://bank.test/3ds?secret=redirect-secret",
    client_secret="client-secret",
    expire_us=build.NOW_US + 3_000_000,
)
SECRETS = (b"redirect-secret", b"client-secret", b"tok_method", b"request-secret")

OPERATION = model.Operation(
    id="op_1",
    tenant_id="acme",
    entity_id="pay_9",
    kind=model.Kind.REFUND,
    state=model.OperationState.DECLINED,
    amount_minor=11,
    currency="KWD",
    reserved_minor=0,
    final=True,
    refund_id="ref_1",
    version=4,
    attempts=6,
    provider="mock",
    binding_id="binding-1",
    request=b"tok_method request-secret",
    provider_operation_id="prov-op-1",
    failure=FAILURE,
    cause=model.Cause(correlation_id="req_1", idempotency_key="key-1", actor="key:abc"),
    not_after_us=build.NOW_US + 20_000_000,
    next_check_us=build.NOW_US + 30_000_000,
    plugin_version="1.2.0",
    created_us=build.NOW_US + 1_000_001,
    updated_us=build.NOW_US + 2_000_002,
)

PAYMENT = model.Payment(
    id="pay_9",
    tenant_id="acme",
    state=model.PaymentState.AUTHORIZED,
    amount_minor=1_500,
    currency="KWD",
    capture_method=model.CaptureMethod.MANUAL,
    provider="mock",
    binding_id="binding-1",
    provider_payment_id="prov-pay-1",
    references=model.References(
        customer_id="cus_1",
        user_id="user-1",
        subscription_id="sub-1",
        order_id="order-1",
        metadata={"shop": "berlin", "till": "4"},
    ),
    description="Two chairs",
    action=ACTION,
    failure=FAILURE,
    cancel_requested=True,
    authorized_minor=1_400,
    captured_minor=700,
    capture_reserved_minor=100,
    refunded_minor=50,
    refund_reserved_minor=30,
    foreign_refunded_minor=7,
    disputed_minor=5,
    payment_method_id="pmt_1",
    off_session=True,
    next_retry_us=build.NOW_US + 60_000_000,
    invoice_id="inv_1",
    checkout_id="chk_1",
    provider_time_us=build.NOW_US + 2,
    version=12,
    created_us=build.NOW_US + 3,
    updated_us=build.NOW_US + 4_000_005,
    operations=(OPERATION,),
)

REFUND = model.Refund(
    id="ref_1",
    tenant_id="acme",
    payment_id="pay_9",
    operation_id="op_1",
    amount_minor=11,
    currency="KWD",
    state=model.RefundState.FAILED,
    reason=model.RefundReason.DUPLICATE,
    note="Paid twice",
    failure=FAILURE,
    created_us=build.NOW_US + 6,
    updated_us=build.NOW_US + 7,
)

CUSTOMER = model.Customer(
    id="cus_1",
    tenant_id="acme",
    profile=model.Profile(
        name="Ada",
        email="ada@example.test",
        phone="+49 30 1",
        user_id="user-1",
        metadata={"tier": "gold"},
    ),
    provider="mock",
    binding_id="binding-1",
    provider_customer_id="prov-cus-1",
    sync_state=model.SyncState.SYNCED,
    version=3,
    created_us=build.NOW_US + 8,
    updated_us=build.NOW_US + 9,
)
