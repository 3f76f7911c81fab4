"""Webhooks out: signatures, schedule, targets, payloads; nothing is sent here."""

import asyncio
import json
import socket
import threading
from typing import Any

import pytest
import standardwebhooks
from payhub.events.v1 import consumer_pb2, event_pb2
from payhub.events.v1 import webhook_pb2 as pb

from event_gateway.consumers import definition as consumer_definition
from event_gateway.consumers import machine, members, place, policy, records
from event_gateway.db import consumers
from event_gateway.webhooks_out import definition, guard, payload, secrets, sender, signing
from servicekit import clock, errors
from tests import fake_clock

ENABLED = pb.WebhookEndpoint.STATE_ENABLED
OPEN = {"plain_http": False, "private": False}
HOUR_S = 3600.0


def stored(endpoint: pb.WebhookEndpoint) -> consumers.Stored:
    """The consumer behind an endpoint, as it would be stored."""
    return consumers.Stored(
        tenant_id="one",
        name="whe_1",
        kind=definition.KIND,
        definition=definition.consumer("whe_1", endpoint),
        revision=1,
        generation=1,
        change_count=1,
        floor=0,
        runs=b"",
        owner="",
        owner_endpoint="",
        term=0,
        members=0,
        outstanding=0,
        create_us=0,
    )


def test_the_signature_is_that_of_the_standard() -> None:
    """The published example of Standard Webhooks comes out, and every secret signs."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    made = signing.headers(
        [secret, signing.new_secret()],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        sent_s=1614265330,
        body=body,
    )
    first, second = made["webhook-signature"].split()
    assert first == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert second != first
    fresh = signing.new_secret()
    now_s = clock.SystemClock().now_us() // 1_000_000
    headers = signing.headers([fresh], message_id="m", sent_s=now_s, body=body)
    assert standardwebhooks.Webhook(fresh).verify(body, headers) == json.loads(body)


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_the_default_schedule_lasts_for_days(chance: float) -> None:
    """Ten attempts over about 75 hours, each wait spread by a fifth at most, then given up."""
    endpoint = definition.complete(pb.WebhookEndpoint(url="https://example.com/"), **OPEN)
    time = fake_clock.FakeClock()
    who = members.Members()
    session = who.join("http", 8)
    on = machine.Machine(
        consumer_definition.read(stored(endpoint)).rules,
        place.Place(0),
        records.Known(retries=(), blocked_keys=(), parked=0),
        incarnation="i",
        who=who,
    )
    on.feed([(1, "a", b"x")], 1, time.now_us())
    waits: list[float] = []
    sent_s = time.monotonic_s()
    while True:
        handed = on.deliver(time.now_us(), [session], 1)
        if not handed:
            due_us = on.next_us(time.now_us())
            if due_us is None:
                break
            time.advance((due_us - time.now_us()) / 1e6)
            continue
        waits.append(time.monotonic_s() - sent_s)
        sent_s = time.monotonic_s()
        session.grant(1)
        lease = handed[0].lease.token
        on.settle(lease, policy.Verdict.REJECT, time.now_us(), chance=chance, reason="HTTP 500")
    assert len(waits) == 10
    factor = 0.8 + 0.4 * chance
    assert waits[1:] == pytest.approx([each * factor for each in definition.SCHEDULE_S])
    assert sum(waits) == pytest.approx(75.6 * HOUR_S * factor, rel=0.01)
    (park,) = on.changes().parks
    assert park.reason == "HTTP 500 (after 10 deliveries)"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.5.4", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("192.0.0.192", False),
        ("168.63.129.16", False),
        ("192.88.99.1", False),
        ("::ffff:192.0.0.192", False),
        ("3fff::1", False),
        ("nonsense", False),
    ],
)
def test_only_public_addresses_pass(address: str, public: bool) -> None:
    """Whatever is private, local, shared, reserved or wraps such an address does not."""
    assert guard.is_public(address) is public


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://",
        "https://u@example.com/",
        "https://example.com/#x",
        "https://127.1/",
        "https://0x7f000001/",
        "https://127.0.0.1./",
        "https://1.2.3.4.5/",
        "https://[v1.a:b.shop.example]/",
        "https://localhost./",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://exa mple.com/",
        "https://example.com:99999/",
        "https://./",
        "https://shop..example/",
        "https://-shop.example/",
        "https://shop.example,/",
        "https://shop%2eexample/",
        "https://[v1.shop.example]/",
        f"https://{'a' * 64}.example/",
        f"https://{'a.' * 127}example/",
        "//example.com/",
    ],
)
def test_urls_that_are_not_called(url: str) -> None:
    """Wrong schemes, credentials, names of this host, odd spellings and what can't be a host are
    refused.
    """
    assert guard.problem(url, **OPEN) is not None
    assert guard.problem("https://example.com:8443/hook?a=b", **OPEN) is None


def test_what_a_setting_would_allow_names_it() -> None:
    """Whoever tries webhooks on their own machine learns what the gateway needs for it."""
    closed = {"plain_http": False, "private": False}
    for url, setting in (
        ("http://shop.example/", "EVENT_GATEWAY_WEBHOOK_PLAIN_HTTP"),
        ("https://127.0.0.1/", "EVENT_GATEWAY_WEBHOOK_PRIVATE_TARGETS"),
        ("https://localhost/", "EVENT_GATEWAY_WEBHOOK_PRIVATE_TARGETS"),
    ):
        assert setting in str(guard.problem(url, **closed))


@pytest.mark.parametrize(
    "host",
    ["EXAMPLE.com.", "xn--bcher-kva.example", "a_b.example", "93.184.215.14", "[2606:2800:21f::8]"],
)
def test_hosts_that_are_called(host: str) -> None:
    """Names and addresses as DNS and URLs have them; one's own only where that is allowed."""
    assert guard.problem(f"https://{host}/", **OPEN) is None
    for own in ("hook", "my_hook-1", "127.0.0.1", "[::1]", "[fe80::1%25eth0]"):
        assert guard.problem(f"http://{own}:8080/", plain_http=True, private=True) is None
    assert guard.problem("http://[v1.a:b]/", plain_http=True, private=True) is not None


@pytest.mark.parametrize("host", ["127.0.0.1.", "1.2.3.4.5", "[::1%25x]", "[v1.a:b.shop.example]"])
async def test_what_the_client_takes_for_an_address_is_checked(host: str) -> None:
    """No resolver of ours is asked about these, so they are refused before."""
    send = sender.Sender(private=False, time=clock.SystemClock())
    try:
        answer = await send.send(
            f"https://{host}/",
            secrets=[signing.new_secret()],
            message_id="evt_1",
            body=b"{}",
            timeout_s=20.0,
        )
    finally:
        await send.close()
    assert (answer.problem, answer.status) == ("BLOCKED_ADDRESS", 0)


async def test_a_name_that_is_not_answered_delays_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many requests wait for names whose servers are dead, others are looked up; those of
    one name share a look-up, and the end of one that gave up ends none. The process ends without.
    """
    answered, asked = threading.Event(), []
    system = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        if host.endswith(".dead"):
            answered.wait(30.0)
        return system("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = guard.Resolver(private=True)
    waiting = [
        asyncio.ensure_future(resolver.resolve(f"{n}.dead", 443)) for n in range(50) for _ in "ab"
    ]
    try:
        (alive,) = await asyncio.wait_for(resolver.resolve("alive.example", 443), 10.0)
        assert (alive["hostname"], alive["host"], alive["port"]) == (
            "alive.example",
            "127.0.0.1",
            443,
        )
        waiting[0].cancel()
        threads = [each for each in threading.enumerate() if "webhook-lookup" in each.name]
        assert threads
        assert all(each.daemon for each in threads)
    finally:
        answered.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        await resolver.close()
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(each, list) for each in found[1:])
    assert len(asked) == 51


def test_secrets_open_for_their_endpoint_only() -> None:
    """A ciphertext moved to another endpoint, or read with another key, does not open."""
    from cryptography import fernet

    old, new = (fernet.Fernet.generate_key().decode() for _ in range(2))
    held = [secrets.Secret(value="whsec_a"), secrets.Secret(value="whsec_b", expire_us=5)]
    sealed = secrets.Vault([old]).seal("whe_1", held)
    assert secrets.Vault([new, old]).open("whe_1", sealed) == held
    assert secrets.live(held, 4) == ["whsec_a", "whsec_b"]
    assert secrets.live(held, 5) == ["whsec_a"]
    assert [each.value for each in secrets.rotated(held, "whsec_c", 9)] == ["whsec_c", "whsec_a"]
    for vault, endpoint_id in (([new], "whe_1"), ([old], "whe_2"), ([], "whe_1")):
        with pytest.raises(errors.RpcError) as refused:
            secrets.Vault(vault).open(endpoint_id, sealed)
        assert refused.value.reason == "ENCRYPTION_KEY_MISSING"
    assert "whsec_a" not in repr(held)


def test_payloads_become_json_or_base64() -> None:
    """JSON as it is, what can't be decoded as base64, nothing when thin; the excerpt of an
    answer has no control characters.
    """
    event = event_pb2.Event(
        id="evt_1", type="a.b", content_type="application/json", data=b'{"x": [1]}'
    )
    assert json.loads(payload.body(event, thin=False))["data"]["payload"] == {"x": [1]}
    assert "labels" not in json.loads(payload.body(event, thin=True))["data"]
    event.labels["region"] = "eu"
    assert json.loads(payload.body(event, thin=True))["data"]["labels"] == {"region": "eu"}
    assert "payload" not in json.loads(payload.body(event, thin=True))["data"]
    for data, content_type in (
        (b"{", "application/json"),
        (b'"\\ud800"', "application/json"),
        (b"[NaN, 1e999]", "application/json"),
        (b"[" * 100_000 + b"]" * 100_000, "application/json"),
        (b"\xff\xff", "application/protobuf"),
    ):
        event.data, event.content_type = data, content_type
        assert set(json.loads(payload.body(event, thin=False))["data"]["payload"]) == {"base64"}
    assert sender.clean(b"a\x00b\x1b[31m\xff" + b"x" * 5000).startswith(
        "a b [31m\N{REPLACEMENT CHARACTER}x"
    )
    assert len(sender.clean(b"x" * 5000)) == 1024


@pytest.mark.parametrize("nanos", [2**31 - 1, -(2**31), 1_000_000_000])
def test_durations_that_are_none_are_refused(nanos: int) -> None:
    """The contract's bounds let them pass; they would break every reader of the definition."""
    bad = {"seconds": 5, "nanos": nanos}
    for endpoint in ({"timeout": bad}, {"retry_schedule": [{"seconds": 1}, bad]}):
        (path,) = endpoint
        given = pb.WebhookEndpoint(url="https://example.com/", **endpoint)
        with pytest.raises(errors.RpcError) as refused:
            definition.complete(given, **OPEN)
        assert refused.value.violations[0][0] == f"endpoint.{path}"
    for consumer in ({"ack_timeout": bad}, {"retry_backoff": [bad]}, {"idle_expiry": bad}):
        (path,) = consumer
        with pytest.raises(errors.RpcError) as refused:
            consumer_definition.complete(consumer_pb2.Consumer(name="a", **consumer))
        assert refused.value.violations[0][0] == f"consumer.{path}"


def test_what_an_endpoint_may_say() -> None:
    """Defaults are filled in, the gateway's own fields refused, a change keeps the rest."""
    given = pb.WebhookEndpoint(url="https://example.com/", types=["payment.*"])
    made = definition.complete(given, **OPEN)
    assert (made.max_in_flight, made.timeout.seconds, len(made.retry_schedule)) == (8, 15, 9)
    with pytest.raises(errors.RpcError):
        definition.check_new(pb.WebhookEndpoint(id="whe_1"))
    off = definition.disabled(made, "tired")
    changed = definition.change(off, pb.WebhookEndpoint(description="x"), ["description"], **OPEN)
    assert (changed.description, changed.disabled_reason) == ("x", "tired")
    on = definition.change(off, pb.WebhookEndpoint(state=ENABLED), ["state"], **OPEN)
    assert (on.state, on.disabled_reason) == (ENABLED, "")
    with pytest.raises(errors.RpcError):
        definition.change(off, given, ["ordered"], **OPEN)
    rules = consumer_definition.read(stored(off)).rules
    assert rules.paused
