"""What the simulated provider makes of an upstream system's answers."""

import json
import unittest.mock
from typing import Any

import pytest
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_mock import clock, keeping, settings, upstream
from provider_sdk import errors, host, http_client, operations, provider
from tests import fake_clock

NOW_S = 1_800_000_000.0
TOLD = {
    "id": "uop_1",
    "key": "op_12345678",
    "kind": "sale",
    "state": "succeeded",
    "object": "upay_1",
    "amount_minor": 1_000,
    "currency": "EUR",
    "state_us": 1_767_225_600_000_000,
}


def _response(status: int, body: Any = None, **headers: str) -> http_client.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http_client.Response(status=status, headers=named, body=raw)


def _refused(status: int, body: Any = None, **headers: str) -> errors.ProviderError:
    return upstream._refused(_response(status, body, **headers), now_s=NOW_S)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "not_found", errors.NotFound),
        (409, "mismatch", errors.Mismatch),
        (409, "in_progress", errors.InProgress),
        (409, "state_conflict", errors.StateConflict),
        (422, "invalid", errors.InvalidRequest),
        (409, "brand_new", errors.NoAnswer),
        (401, "whatever", errors.CredentialsRejected),
        (403, "whatever", errors.CredentialsRejected),
        (429, "whatever", errors.RateLimited),
        (302, "whatever", errors.NoAnswer),
        (500, "not_found", errors.NoAnswer),
        (503, "whatever", errors.NoAnswer),
    ],
)
def test_refusals_are_told_apart(status: int, code: str, kind: type[errors.ProviderError]) -> None:
    """Only a refusal in the system's own words proves that nothing happened."""
    assert type(_refused(status, {"error": {"code": code}})) is kind


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("999999", upstream.RETRY_AFTER_MAX_S),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2021 08:00:30 GMT", 0.0),
        ("soon", upstream.RETRY_AFTER_S),
        ("-3", upstream.RETRY_AFTER_S),
        ("", upstream.RETRY_AFTER_S),
        ("Fri, 15 Jan 99999999999 08:00:30 GMT", upstream.RETRY_AFTER_S),
        ("Fri, 15 Jan 2027 08:00:30 +99999999999999", upstream.RETRY_AFTER_S),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float) -> None:
    """Both forms of the header are read; anything else is a second."""
    limited = _refused(429, {}, retry_after=text)
    assert isinstance(limited, errors.RateLimited)
    assert limited.retry_after_s == seconds


def test_a_proper_answer_is_told_whole() -> None:
    """State, identifiers, amount and time come from upstream, not from the request."""
    told = upstream._operation(_response(200, TOLD), "op_12345678")
    assert told.state == operation_pb2.Operation.STATE_SUCCEEDED
    assert (told.provider_object_id, told.provider_operation_id) == ("upay_1", "uop_1")
    assert (told.amount.amount_minor, told.amount.currency_code) == (1_000, "EUR")
    assert told.state_time.seconds == 1_767_225_600


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>secret</html>",
        b"[" * 50_000,
        [],
        {},
        {**TOLD, "key": "op_other"},
        {**TOLD, "state": "secret"},
        {**TOLD, "state": ["secret"]},
        {**TOLD, "object": 7},
        {**TOLD, "object": "\ud800"},
        {**TOLD, "amount_minor": 2**70},
        {**TOLD, "amount_minor": "secret"},
        {**TOLD, "state_us": 1e300},
        {**TOLD, "state": "declined"},
        {**TOLD, "state": "declined", "decline": "secret"},
        {**TOLD, "state": "declined", "decline": {"code": 7, "retryable_later": False}},
        {**TOLD, "state": "action_required", "action": {"url": None}},
    ],
)
def test_what_is_no_proper_answer_is_none(body: Any) -> None:
    """The effect is unknown then, and the message repeats nothing of what came."""
    with pytest.raises(errors.NoAnswer) as unknown:
        upstream._operation(_response(200, body), "op_12345678")
    assert "secret" not in unknown.value.message


class _Knows(http_client.Client):
    """An upstream system that has nothing, or not yet."""

    async def send(self, *_: Any, timeout_s: float, **__: Any) -> http_client.Response:
        self.longest_s = timeout_s
        return _response(404, {"error": {"code": "not_found"}})


async def test_what_may_still_be_sent_is_not_ruled_out() -> None:
    """By an instance that waits for its answer as long as requests may take, or one that died."""
    config = settings.MockSettings(upstream_url="http://127.0.0.1:1", upstream_request_max_s=20)
    time = clock.MockClock(fake_clock.FakeClock())
    mock = upstream.UpstreamMock(config, time=time)
    mock._client = client = _Knows(config.upstream_url)
    state = host.Host(mock, clock=fake_clock.FakeClock())
    binding = provider.Binding(
        binding_id="b", generation=1, config=keeping.MockConfig(), secrets={}
    )
    state.put_binding(binding)
    running = operations.Operations(state)
    context: Any = unittest.mock.Mock(time_remaining=lambda: 10.0)
    request = pps.GetOperationRequest(binding_id="b", operation_id="op_12345678")
    for ended_s, kind in ((19, errors.LookupInconclusive), (21, errors.NotFound)):
        request.hints.not_after.FromMicroseconds(state.clock.now_us() - ended_s * 1_000_000)
        with pytest.raises(kind):
            await running.look_up(request, context)
    sale = provider.Call(
        operation_id="op_12345678",
        binding=binding,
        attempt=1,
        timeout_s=1.0,
        not_after_us=state.clock.now_us(),
        customer_action_allowed=False,
        now_us=state.clock.now_us,
    )
    with pytest.raises(errors.NotFound):
        await mock.capture(pps.CapturePaymentRequest(), sale)
    assert client.longest_s <= mock.upstream_request_max_s


def test_keys_fit_into_a_header() -> None:
    """An operation id may hold anything; its key is the same every time and harmless."""
    assert upstream._key("op\r\nX: 1") == upstream._key("op\r\nX: 1") == "op%0D%0AX%3A%201"
    assert upstream._key("op_12345678") == "op_12345678"


@pytest.mark.parametrize("url", ["", "ftp://x", "localhost:80", "http://"])
def test_a_url_must_be_one(url: str) -> None:
    """A wrong one is refused when the process starts."""
    with pytest.raises(ValueError, match="give a URL"):
        http_client.Client(url)
