"""The domain's values as messages of the contract.

Owns payment, refund and customer messages, for responses and for events.
Called by the API and by usecases.events. Never reads a database.
"""

from typing import Any

from google.protobuf import timestamp_pb2
from payhub.payments.v1 import customer_service_pb2, payment_pb2, refund_service_pb2
from payhub.type.v1 import money_pb2

from payment_service.domain import actions, model


def number(value: int) -> Any:
    """Returns a value of an enum, the domain's or the contract's, as messages take it."""
    # The stubs of enums ask for their own type, which has no constructor at run time.
    return int(value)


def timestamp(us: int) -> timestamp_pb2.Timestamp:
    """Returns epoch microseconds as a Timestamp."""
    seconds, rest = divmod(us, 1_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=rest * 1000)


def money(amount_minor: int, currency: str) -> money_pb2.Money:
    """Returns an amount as Money."""
    return money_pb2.Money(amount_minor=amount_minor, currency_code=currency)


def failure(value: model.Failure) -> payment_pb2.PaymentFailure:
    """Returns why something failed as a message."""
    return payment_pb2.PaymentFailure(
        kind=number(value.kind),
        reason=value.reason,
        provider_code=value.provider_code,
        retryable_later=value.retryable_later,
    )


def action(value: model.CustomerAction) -> payment_pb2.CustomerAction:
    """Returns what the payer must do as a message."""
    message = payment_pb2.CustomerAction(
        redirect_url=value.redirect_url, client_secret=value.client_secret
    )
    if value.expire_us:
        message.expire_time.CopyFrom(timestamp(value.expire_us))
    return message


def operation(value: model.Operation) -> payment_pb2.Operation:
    """Returns an operation as a message."""
    message = payment_pb2.Operation(
        id=value.id,
        kind=number(value.kind),
        state=number(value.state),
        final=value.final,
        provider_operation_id=value.provider_operation_id,
        attempts=value.attempts,
        refund_id=value.refund_id,
        create_time=timestamp(value.created_us),
        update_time=timestamp(value.updated_us),
    )
    if value.amount_minor > 0:
        message.amount.CopyFrom(money(value.amount_minor, value.currency))
    if value.failure is not None:
        message.failure.CopyFrom(failure(value.failure))
    return message


def _amounts(value: model.Payment) -> payment_pb2.Amounts:
    return payment_pb2.Amounts(
        authorized_minor=value.authorized_minor,
        captured_minor=value.captured_minor,
        capture_pending_minor=value.capture_reserved_minor,
        refunded_minor=value.refunded_minor,
        refund_pending_minor=value.refund_reserved_minor,
        foreign_refunded_minor=value.foreign_refunded_minor,
        disputed_minor=value.disputed_minor,
    )


def explain(message: payment_pb2.Payment, value: model.Payment, *names: str) -> None:
    """Sets `action` and `failure` as far as *value* has them, or only those of *names*."""
    if value.action is not None and (not names or "action" in names):
        message.action.CopyFrom(action(value.action))
    if value.failure is not None and (not names or "failure" in names):
        message.failure.CopyFrom(failure(value.failure))


# An event and the response show the same payment, so its message is made once.
# Values never change, so identity is enough; every step on the dictionary is atomic.
_recent: dict[int, tuple[model.Payment, payment_pb2.Payment]] = {}
_RECENT_MAX = 256


def payment(value: model.Payment) -> payment_pb2.Payment:
    """Returns a payment as a message, with what a caller may do now; not to be changed."""
    found = _recent.get(id(value))
    if found is not None and found[0] is value:
        return found[1]
    message = _payment(value)
    if len(_recent) >= _RECENT_MAX:
        _recent.clear()
    _recent[id(value)] = (value, message)
    return message


def listed(value: model.Payment) -> payment_pb2.Payment:
    """Returns a payment as lists show it: without its operations."""
    message = _payment(value)
    message.ClearField("operations")
    return message


def _payment(value: model.Payment) -> payment_pb2.Payment:
    references = value.references
    message = payment_pb2.Payment(
        id=value.id,
        state=number(value.state),
        amount=money(value.amount_minor, value.currency),
        amounts=_amounts(value),
        capture_method=number(value.capture_method),
        provider=value.provider,
        binding_id=value.binding_id,
        provider_payment_id=value.provider_payment_id,
        references=payment_pb2.References(
            customer_id=references.customer_id,
            user_id=references.user_id,
            subscription_id=references.subscription_id,
            order_id=references.order_id,
            metadata=references.metadata,
        ),
        description=value.description,
        cancel_requested=value.cancel_requested,
        available_actions=[
            payment_pb2.AvailableAction(action=number(action), max_amount_minor=most)
            for action, most in actions.available(value)
        ],
        operations=[operation(one) for one in value.operations],
        version=value.version,
        create_time=timestamp(value.created_us),
        update_time=timestamp(value.updated_us),
        payment_method_id=value.payment_method_id,
        off_session=value.off_session,
        invoice_id=value.invoice_id,
        checkout_id=value.checkout_id,
    )
    if value.next_retry_us:
        message.next_retry_time.CopyFrom(timestamp(value.next_retry_us))
    explain(message, value)
    return message


def refund(value: model.Refund) -> refund_service_pb2.Refund:
    """Returns a refund as a message."""
    message = refund_service_pb2.Refund(
        id=value.id,
        payment_id=value.payment_id,
        operation_id=value.operation_id,
        amount=money(value.amount_minor, value.currency),
        state=number(value.state),
        reason=number(value.reason),
        note=value.note,
        create_time=timestamp(value.created_us),
        update_time=timestamp(value.updated_us),
    )
    if value.failure is not None:
        message.failure.CopyFrom(failure(value.failure))
    return message


def customer(value: model.Customer) -> customer_service_pb2.Customer:
    """Returns a customer as a message."""
    profile = value.profile
    return customer_service_pb2.Customer(
        id=value.id,
        profile=customer_service_pb2.CustomerProfile(
            name=profile.name,
            email=profile.email,
            phone=profile.phone,
            user_id=profile.user_id,
            metadata=profile.metadata,
        ),
        provider=value.provider,
        provider_customer_id=value.provider_customer_id,
        sync_state=number(value.sync_state),
        version=value.version,
        create_time=timestamp(value.created_us),
        update_time=timestamp(value.updated_us),
    )
