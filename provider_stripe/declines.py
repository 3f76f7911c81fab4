"""Why Stripe's card networks said no, in the contract's terms.

Owns one table of decline codes. Called wherever a refusal is read. Never guesses: a code
that is not here is OTHER and not worth repeating.
Source: Stripe's documentation, "Decline codes" and "Error codes".
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from payhub.provider.v1 import operation_pb2

from provider_sdk import errors

_OTHER = operation_pb2.DECLINE_REASON_OTHER
_FUNDS = operation_pb2.DECLINE_REASON_INSUFFICIENT_FUNDS
_INVALID = operation_pb2.DECLINE_REASON_INSTRUMENT_INVALID
_FRAUD = operation_pb2.DECLINE_REASON_SUSPECTED_FRAUD
_AUTHENTICATION = operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED
_LIMIT = operation_pb2.DECLINE_REASON_LIMIT_EXCEEDED
_EXPIRED = operation_pb2.DECLINE_REASON_INSTRUMENT_EXPIRED
_NO = operation_pb2.DECLINE_REASON_DO_NOT_HONOR
_NOT_ALLOWED = operation_pb2.DECLINE_REASON_NOT_ALLOWED


class Meaning(NamedTuple):
    """A reason, and whether the same instrument may work later."""

    reason: operation_pb2.DeclineReason
    retryable_later: bool


# decline_code, or the error's code where the network gave none.
TABLE: Mapping[str, Meaning] = {
    "account_closed": Meaning(_INVALID, False),
    "approve_with_id": Meaning(_NO, True),
    "authentication_not_handled": Meaning(_AUTHENTICATION, False),
    "authentication_required": Meaning(_AUTHENTICATION, False),
    "bank_account_restricted": Meaning(_INVALID, False),
    "call_issuer": Meaning(_NO, False),
    "card_declined": Meaning(_NO, True),
    "card_not_supported": Meaning(_INVALID, False),
    "card_velocity_exceeded": Meaning(_LIMIT, True),
    "charge_exceeds_source_limit": Meaning(_LIMIT, True),
    "charge_exceeds_transaction_limit": Meaning(_LIMIT, False),
    "charge_exceeds_weekly_limit": Meaning(_LIMIT, True),
    "currency_not_supported": Meaning(_INVALID, False),
    "debit_not_authorized": Meaning(_NO, False),
    "do_not_honor": Meaning(_NO, True),
    "do_not_try_again": Meaning(_NO, False),
    "duplicate_transaction": Meaning(_NOT_ALLOWED, False),
    "expired_card": Meaning(_EXPIRED, False),
    "fraudulent": Meaning(_FRAUD, False),
    "generic_decline": Meaning(_NO, True),
    "incorrect_address": Meaning(_INVALID, False),
    "incorrect_cvc": Meaning(_INVALID, False),
    "incorrect_number": Meaning(_INVALID, False),
    "incorrect_pin": Meaning(_INVALID, False),
    "incorrect_zip": Meaning(_INVALID, False),
    "insufficient_funds": Meaning(_FUNDS, True),
    "invalid_account": Meaning(_INVALID, False),
    "invalid_amount": Meaning(_LIMIT, False),
    "invalid_cvc": Meaning(_INVALID, False),
    "invalid_expiry_month": Meaning(_INVALID, False),
    "invalid_expiry_year": Meaning(_INVALID, False),
    "invalid_number": Meaning(_INVALID, False),
    "invalid_pin": Meaning(_INVALID, False),
    "issuer_not_available": Meaning(_OTHER, True),
    "live_mode_test_card": Meaning(_INVALID, False),
    "lost_card": Meaning(_FRAUD, False),
    "merchant_blacklist": Meaning(_FRAUD, False),
    "mobile_device_authentication_required": Meaning(_AUTHENTICATION, False),
    "new_account_information_available": Meaning(_INVALID, False),
    "no_account": Meaning(_INVALID, False),
    "no_action_taken": Meaning(_NO, False),
    "not_permitted": Meaning(_NO, False),
    "offline_pin_required": Meaning(_AUTHENTICATION, False),
    "online_or_offline_pin_required": Meaning(_AUTHENTICATION, False),
    "payment_intent_authentication_failure": Meaning(_AUTHENTICATION, False),
    "payment_intent_payment_attempt_expired": Meaning(_AUTHENTICATION, False),
    "payment_intent_payment_attempt_failed": Meaning(_NO, True),
    "payment_method_provider_decline": Meaning(_NO, True),
    "payment_method_provider_timeout": Meaning(_OTHER, True),
    "pickup_card": Meaning(_FRAUD, False),
    "pin_try_exceeded": Meaning(_LIMIT, False),
    "processing_error": Meaning(_OTHER, True),
    "reenter_transaction": Meaning(_OTHER, True),
    "restricted_card": Meaning(_FRAUD, False),
    "revocation_of_all_authorizations": Meaning(_NO, False),
    "revocation_of_authorization": Meaning(_NO, False),
    "security_violation": Meaning(_FRAUD, False),
    "service_not_allowed": Meaning(_NO, False),
    "setup_intent_authentication_failure": Meaning(_AUTHENTICATION, False),
    "stolen_card": Meaning(_FRAUD, False),
    "stop_payment_order": Meaning(_NO, False),
    "testmode_decline": Meaning(_INVALID, False),
    "transaction_not_allowed": Meaning(_NO, False),
    "try_again_later": Meaning(_OTHER, True),
    "withdrawal_count_limit_exceeded": Meaning(_LIMIT, True),
}
# The network's advice outweighs the table.
_ADVICE = {"do_not_try_again": False, "try_again_later": True, "confirm_card_data": False}


def of_error(error: Mapping[str, Any] | None) -> operation_pb2.Decline:
    """Returns the decline that an error object of Stripe's tells, as a plain mapping."""
    told = error or {}
    code = str(told.get("decline_code") or told.get("code") or "")
    meaning = TABLE.get(code, Meaning(_OTHER, False))
    advice = str(told.get("advice_code") or "")
    return operation_pb2.Decline(
        reason=meaning.reason,
        provider_code=errors.cut(code or "declined"),
        retryable_later=_ADVICE.get(advice, meaning.retryable_later),
    )


def not_allowed(code: str) -> operation_pb2.Decline:
    """Returns the decline of what the state of an object at Stripe forbids."""
    return operation_pb2.Decline(reason=_NOT_ALLOWED, provider_code=errors.cut(code))
