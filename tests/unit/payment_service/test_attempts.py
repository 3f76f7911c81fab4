"""Requests of further attempts: each names what the one before has made at the provider."""

from dataclasses import replace

from payhub.provider.v1 import payment_provider_service_pb2 as pb

from payment_service.domain import model
from payment_service.provider_client import requests
from tests.unit.payment_service import build


def _asked(payment: model.Payment) -> bytes:
    return requests.authorize(
        payment, payment_method="pm_1", return_url="", provider_customer_id=""
    )


def _names(request: bytes) -> str:
    return pb.AuthorizePaymentRequest.FromString(request).previous_provider_payment_id


def _failed(request: bytes, provider_payment_id: str) -> model.Payment:
    attempt = replace(
        build.operation(model.Kind.SALE), state=model.OperationState.DECLINED, request=request
    )
    return build.payment(
        state=model.PaymentState.FAILED,
        provider_payment_id=provider_payment_id,
        operations=(attempt,),
    )


def test_a_first_attempt_names_none() -> None:
    """Nothing was made before."""
    assert _names(_asked(build.payment())) == ""


def test_a_further_attempt_names_the_one_before() -> None:
    """Asked for by a caller or by the retry policy."""
    payment = _failed(_asked(build.payment()), "pi_1")
    assert _names(_asked(payment)) == "pi_1"
    again = requests.authorize_again(payment, payment.operations[0].request)
    assert _names(again) == "pi_1"
    assert pb.AuthorizePaymentRequest.FromString(again).payment_method == "pm_1"


def test_an_attempt_that_made_nothing_passes_on_the_one_before() -> None:
    """What the first has made may still be there, however often nothing is sent."""
    first = _failed(_asked(build.payment()), "pi_1")
    second = _failed(_asked(first), "")
    assert _names(_asked(second)) == "pi_1"
    third = _failed(requests.authorize_again(second, second.operations[0].request), "pi_3")
    assert _names(_asked(third)) == "pi_3"
