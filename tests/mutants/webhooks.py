"""Mutants of webhooks (rules 25b and 61 to 63)."""

import itertools
import json
from typing import Any

from google.protobuf import duration_pb2
from payhub.provider.v1 import notice_provider_service_pb2 as nps

from provider_mock.webhooks import reading, signing
from provider_sdk import notice_servicer
from tests.mutants import registry


@registry.mutant("25b")
def knows_one_secret_only() -> None:
    """Only the newest version of the secret verifies."""

    def make(verify: Any) -> Any:
        return lambda request, secrets: verify(request, secrets[:1])

    registry.replace(reading, "verify", make)


@registry.mutant("25b")
def trusts_expired_secrets() -> None:
    """A secret verifies after its expire_time as before."""
    registry.replace(notice_servicer, "_unexpired", lambda _: lambda binding, received_us: binding)


@registry.mutant("61")
def believes_every_signature() -> None:
    """Whatever is signed somehow is authentic."""
    registry.replace(signing, "fits", lambda _: lambda **rest: True)


@registry.mutant("61")
def has_all_the_time() -> None:
    """A signature never grows old."""

    def make(verify: Any) -> Any:
        def patient(request: Any, secrets: Any) -> Any:
            request.tolerance.CopyFrom(duration_pb2.Duration(seconds=10**9))
            return verify(request, secrets)

        return patient

    registry.replace(reading, "verify", make)


@registry.mutant("61")
def borrows_secrets() -> None:
    """The secrets of every binding verify the webhooks of each."""
    seen: set[bytes] = set()

    def make(verify: Any) -> Any:
        def borrowed(request: Any, secrets: Any) -> Any:
            seen.update(secrets)
            answer = verify(request, sorted(seen))
            if answer.detail == "the event is of another account":
                answer = nps.VerifyWebhookResponse(
                    authenticity=nps.AUTHENTICITY_AUTHENTIC, provider_event_id="evt_borrowed"
                )
            return answer

        return borrowed

    registry.replace(reading, "verify", make)


@registry.mutant("62")
def chokes_on_garbage() -> None:
    """A body that is no event ends ParseWebhook with a bug."""

    def make(parse: Any) -> Any:
        def trusting(request: Any) -> Any:
            json.loads(request.body)["id"].strip()
            return parse(request)

        return trusting

    registry.replace(reading, "parse", make)


@registry.mutant("62")
def reads_any_time_as_a_number() -> None:
    """A time of more digits than Python reads ends VerifyWebhook with a bug."""

    def make(verify: Any) -> Any:
        def trusting(request: Any, secrets: Any) -> Any:
            for header in request.request.headers:
                if header.name == "webhook-timestamp" and header.value.isdecimal():
                    int(header.value)
            return verify(request, secrets)

        return trusting

    registry.replace(reading, "verify", make)


@registry.mutant("62")
def names_events_anew() -> None:
    """Each parsing gives an event another identifier."""
    counter = itertools.count()

    def make(parse: Any) -> Any:
        def renaming(request: Any) -> Any:
            answer = parse(request)
            if answer.provider_event_id:
                answer.provider_event_id += f"_{next(counter)}"
            return answer

        return renaming

    registry.replace(reading, "parse", make)


@registry.mutant("63")
def remembers_webhooks() -> None:
    """A webhook verified before tells nothing the second time."""
    seen: set[str] = set()

    def make(verify: Any) -> Any:
        def once(request: Any, secrets: Any) -> Any:
            answer = verify(request, secrets)
            if answer.provider_event_id in seen:
                del answer.objects[:]
            seen.add(answer.provider_event_id)
            return answer

        return once

    registry.replace(reading, "verify", make)
