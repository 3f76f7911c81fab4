"""The test cards and bank accounts, and what the issuer says about each.

Owns the `pm_card_*`, `pm_usBankAccount_*` and `tok_*` names. Asked by payment methods and
payments. Ids that begin with `pm_double_` exist in the double only: Stripe has no test card
for most of the decline codes that it documents.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decline:
    """Why an issuer refuses.

    Attributes:
        code: The error code.
        decline_code: The reason within it; None where Stripe gives none.
        message: What the payer is told.
        advice_code: Whether trying again makes sense, as Stripe sees it.
        network_decline_code: The two characters of the card network.
    """

    code: str = "card_declined"
    decline_code: str | None = "generic_decline"
    message: str = "Your card was declined."
    advice_code: str | None = None
    network_decline_code: str | None = "05"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What happens with a test payment method.

    Attributes:
        type: card or us_bank_account.
        decline: Refuses charges with this.
        attaches: Whether it can be saved although charges are declined.
        authentication: none, required (on session, and off session unless it was set up),
            on_setup (the same, with the set-up itself asking), or always (off session declines).
        dispute: The reason of a dispute that follows the charge.
        inquiry: Whether that dispute is only an inquiry.
        refund: How refunds go: ok, pending or fails.
    """

    type: str = "card"
    brand: str = "visa"
    last4: str = "4242"
    decline: Decline | None = None
    attaches: bool = True
    authentication: str = "none"
    dispute: str | None = None
    inquiry: bool = False
    refund: str = "ok"


# decline_code: message, advice, code of the network.
_AGAIN, _NEVER, _CHECK = "try_again_later", "do_not_try_again", "confirm_card_data"
_REASONS: dict[str, tuple[str | None, str | None]] = {
    "approve_with_id": (_AGAIN, "08"),
    "call_issuer": (None, "01"),
    "card_not_supported": (_NEVER, "57"),
    "card_velocity_exceeded": (_AGAIN, "65"),
    "currency_not_supported": (_NEVER, "57"),
    "do_not_honor": (None, "05"),
    "do_not_try_again": (_NEVER, "05"),
    "duplicate_transaction": (_NEVER, "94"),
    "fraudulent": (_NEVER, "59"),
    "generic_decline": (None, "05"),
    "incorrect_address": (_CHECK, "05"),
    "incorrect_pin": (_CHECK, "55"),
    "incorrect_zip": (_CHECK, "05"),
    "insufficient_funds": (_AGAIN, "51"),
    "invalid_account": (_NEVER, "14"),
    "invalid_amount": (None, "13"),
    "invalid_cvc": (_CHECK, "N7"),
    "invalid_expiry_month": (_CHECK, "54"),
    "invalid_expiry_year": (_CHECK, "54"),
    "invalid_number": (_CHECK, "14"),
    "invalid_pin": (_CHECK, "55"),
    "issuer_not_available": (_AGAIN, "91"),
    "lost_card": (_NEVER, "41"),
    "merchant_blacklist": (_NEVER, None),
    "new_account_information_available": (_CHECK, "46"),
    "no_action_taken": (None, "21"),
    "not_permitted": (_NEVER, "57"),
    "offline_pin_required": (_CHECK, "1A"),
    "online_or_offline_pin_required": (_CHECK, "1A"),
    "pickup_card": (_NEVER, "04"),
    "pin_try_exceeded": (_NEVER, "75"),
    "reenter_transaction": (_AGAIN, "19"),
    "restricted_card": (_NEVER, "62"),
    "revocation_of_all_authorizations": (_NEVER, "R1"),
    "revocation_of_authorization": (_NEVER, "R0"),
    "security_violation": (None, "63"),
    "service_not_allowed": (_NEVER, "57"),
    "stolen_card": (_NEVER, "43"),
    "stop_payment_order": (_NEVER, "R0"),
    "testmode_decline": (_NEVER, None),
    "transaction_not_allowed": (_NEVER, "57"),
    "try_again_later": (_AGAIN, "91"),
    "withdrawal_count_limit_exceeded": (_AGAIN, "65"),
}

DECLINES: dict[str, Decline] = {
    reason: Decline(decline_code=reason, advice_code=advice, network_decline_code=network)
    for reason, (advice, network) in _REASONS.items()
}
DECLINES |= {
    "insufficient_funds": Decline(
        decline_code="insufficient_funds",
        message="Your card has insufficient funds.",
        advice_code=_AGAIN,
        network_decline_code="51",
    ),
    # These carry their reason in the code.
    "expired_card": Decline(
        code="expired_card",
        decline_code=None,
        message="Your card has expired.",
        advice_code=_CHECK,
        network_decline_code="54",
    ),
    "incorrect_cvc": Decline(
        code="incorrect_cvc",
        decline_code=None,
        message="Your card's security code is incorrect.",
        advice_code=_CHECK,
        network_decline_code="N7",
    ),
    "incorrect_number": Decline(
        code="incorrect_number",
        decline_code=None,
        message="Your card number is incorrect.",
        advice_code=_CHECK,
        network_decline_code="14",
    ),
    "processing_error": Decline(
        code="processing_error",
        decline_code=None,
        message="An error occurred while processing your card. Try again in a little bit.",
        advice_code=_AGAIN,
        network_decline_code="96",
    ),
    "authentication_required": Decline(
        code="authentication_required",
        decline_code="authentication_required",
        message="Your card was declined. This transaction requires authentication.",
        network_decline_code="1A",
    ),
}


def _declining(reason: str, last4: str) -> Behaviour:
    return Behaviour(decline=DECLINES[reason], last4=last4, attaches=False)


_REFUSING = {
    "chargeDeclined": _declining("generic_decline", "0002"),
    "chargeDeclinedInsufficientFunds": _declining("insufficient_funds", "9995"),
    "chargeDeclinedLostCard": _declining("lost_card", "9987"),
    "chargeDeclinedStolenCard": _declining("stolen_card", "9979"),
    "chargeDeclinedExpiredCard": _declining("expired_card", "0069"),
    "chargeDeclinedIncorrectCvc": _declining("incorrect_cvc", "0127"),
    "chargeDeclinedProcessingError": _declining("processing_error", "0119"),
    "chargeDeclinedVelocityLimitExceeded": _declining("card_velocity_exceeded", "6975"),
    "chargeDeclinedFraudulent": _declining("fraudulent", "0019"),
}

METHODS: dict[str, Behaviour] = {
    "pm_card_visa": Behaviour(),
    "pm_card_visa_debit": Behaviour(last4="5556"),
    "pm_card_mastercard": Behaviour(brand="mastercard", last4="4444"),
    "pm_card_amex": Behaviour(brand="amex", last4="8431"),
    "pm_card_discover": Behaviour(brand="discover", last4="9424"),
    "pm_card_bypassPending": Behaviour(last4="0077"),
    "pm_card_riskLevelElevated": Behaviour(last4="9235"),
    "pm_card_radarBlock": _declining("fraudulent", "0019"),
    "pm_card_chargeCustomerFail": Behaviour(decline=DECLINES["generic_decline"], last4="0341"),
    **{f"pm_card_{name}": one for name, one in _REFUSING.items()},
    **{f"pm_card_visa_{name}": one for name, one in _REFUSING.items()},
    "pm_card_threeDSecure2Required": Behaviour(authentication="required", last4="3220"),
    "pm_card_threeDSecureRequired": Behaviour(authentication="required", last4="3063"),
    "pm_card_threeDSecureOptional": Behaviour(last4="3055"),
    "pm_card_threeDSecureNotSupported": Behaviour(brand="amex", last4="0005"),
    "pm_card_threeDSecureRequiredChargeDeclined": Behaviour(
        authentication="required",
        decline=DECLINES["generic_decline"],
        last4="1629",
    ),
    "pm_card_authenticationRequired": Behaviour(authentication="always", last4="3184"),
    "pm_card_authenticationRequiredOnSetup": Behaviour(authentication="on_setup", last4="3155"),
    "pm_card_authenticationRequiredSetupForOffSession": Behaviour(last4="0446"),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": Behaviour(
        authentication="required",
        decline=DECLINES["insufficient_funds"],
        last4="3178",
    ),
    "pm_card_createDispute": Behaviour(dispute="fraudulent", last4="0259"),
    "pm_card_createDisputeProductNotReceived": Behaviour(
        dispute="product_not_received", last4="2685"
    ),
    "pm_card_createDisputeInquiry": Behaviour(dispute="fraudulent", inquiry=True, last4="1976"),
    "pm_card_pendingRefund": Behaviour(refund="pending", last4="7726"),
    "pm_card_refundFail": Behaviour(refund="fails", last4="5126"),
    "pm_usBankAccount_success": Behaviour(type="us_bank_account", last4="6789"),
    "pm_usBankAccount_accountClosed": Behaviour(
        type="us_bank_account",
        last4="1113",
        decline=Decline(
            code="account_closed",
            decline_code=None,
            message="The customer's bank account has been closed.",
            network_decline_code="R02",
        ),
    ),
    "pm_usBankAccount_insufficientFunds": Behaviour(
        type="us_bank_account",
        last4="2222",
        decline=Decline(
            code="insufficient_funds",
            decline_code=None,
            message="The customer's account has insufficient funds to cover this payment.",
            network_decline_code="R01",
        ),
    ),
    **{
        f"pm_double_decline_{reason}": Behaviour(decline=decline, last4="0341")
        for reason, decline in DECLINES.items()
    },
}


def by_token(token: str) -> str | None:
    """Returns the test payment method behind a token such as `tok_visa`, or None."""
    name = f"pm_card_{token.removeprefix('tok_')}"
    return name if name in METHODS else None
