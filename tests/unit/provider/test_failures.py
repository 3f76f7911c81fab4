"""How failures travel: the one table, and what is not in it."""

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from payhub.provider.v1 import failure_pb2

from provider_sdk import errors, serve
from servicekit import errors as kit_errors

NONE, UNKNOWN = failure_pb2.Failure.EFFECT_NONE, failure_pb2.Failure.EFFECT_UNKNOWN


def details(error: kit_errors.RpcError) -> tuple[error_details_pb2.ErrorInfo, failure_pb2.Failure]:
    """Returns the one ErrorInfo and the one Failure of a status."""
    infos, failures = [], []
    for detail in kit_errors.to_status(error).details:
        info, failure = error_details_pb2.ErrorInfo(), failure_pb2.Failure()
        if detail.Unpack(info):
            infos.append(info)
        elif detail.Unpack(failure):
            failures.append(failure)
    assert (len(infos), len(failures)) == (1, 1)
    return infos[0], failures[0]


def test_the_table_covers_every_reason_of_the_contract_once() -> None:
    """Each FailureReason is raised by exactly one exception."""
    reasons = sorted(row.reason for row in errors.TABLE.values())
    assert reasons == sorted(set(failure_pb2.FailureReason.values()) - {0})


def test_only_what_may_have_been_sent_is_unknown() -> None:
    """Everything else promises that nothing happened."""
    unknown = {kind for kind, row in errors.TABLE.items() if row.effect == UNKNOWN}
    assert unknown == {
        errors.InProgress,
        errors.NoAnswer,
        errors.LookupInconclusive,
        errors.PluginBug,
    }


@pytest.mark.parametrize("kind", [kind for kind in errors.TABLE if kind is not errors.RateLimited])
def test_every_failure_carries_one_error_info_and_one_failure(
    kind: type[errors.ProviderError],
) -> None:
    """Reason, domain and effect come from the table."""
    info, failure = details(errors.to_rpc(kind("why"), domain="odd"))
    assert info.domain == "odd"
    assert failure_pb2.FailureReason.Name(failure.reason) == f"FAILURE_REASON_{info.reason}"
    assert failure.effect == errors.TABLE[kind].effect


def test_a_rate_limit_says_when_to_come_back() -> None:
    """RetryInfo carries what upstream asked for."""
    limited = errors.RateLimited("slow down", retry_after_s=2.5, upstream_code="429")
    error = errors.to_rpc(limited, domain="odd")
    assert error.retry_after_s == 2.5
    assert details(error)[1].upstream_code == "429"


@pytest.mark.parametrize(("code", "told"), [(503, "503"), (None, ""), (b"E7", "b'E7'")])
def test_a_code_that_is_no_text_costs_no_certainty(code: Any, told: str) -> None:
    """As upstream's libraries have them, and authors without a type checker pass them on."""
    for error in (
        errors.Unreachable("no route", upstream_code=code),
        errors.RateLimited("slow down", retry_after_s=code, upstream_code=code),
    ):
        _, failure = details(errors.to_rpc(error, domain="odd"))
        assert (failure.upstream_code, failure.effect) == (told, NONE)


def test_an_authors_own_subclass_travels_as_its_base() -> None:
    """Authors may refine the tree without a row of their own."""

    class Blocked(errors.CredentialsRejected):
        """An account that is blocked."""

    assert errors.wire_of(Blocked("no")) is errors.TABLE[errors.CredentialsRejected]
    assert errors.wire_of(errors.ProviderError("no")) is errors.TABLE[errors.PluginBug]


@pytest.mark.parametrize(
    ("failure", "reason", "effect"),
    [
        (kit_errors.invalid_field("amount", "is required"), "INVALID_REQUEST", NONE),
        (kit_errors.deadline_required(), "INVALID_REQUEST", NONE),
        (kit_errors.deadline_exceeded(), "UPSTREAM_NO_ANSWER", UNKNOWN),
        (kit_errors.overloaded("full", retry_after_s=1), "PLUGIN_BUG", UNKNOWN),
        (ZeroDivisionError("secret"), "PLUGIN_BUG", UNKNOWN),
    ],
)
def test_what_the_pipeline_finds_gets_a_failure_too(
    failure: Exception, reason: str, effect: int
) -> None:
    """A mutation never ends without Failure, whoever refused it."""
    error = serve.translate(failure, domain="odd")
    assert error is not None
    info, carried = details(error)
    assert (info.reason, carried.effect) == (reason, effect)
    assert "secret" not in error.message


def test_what_is_final_already_is_left_alone() -> None:
    """An error of the plugin's own domain goes out as it is."""
    stale = kit_errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION, "STALE_GENERATION", "old", domain="odd"
    )
    assert serve.translate(stale, domain="odd") is None


def test_deadlines_come_from_the_contract() -> None:
    """The longest time of a method is its option; an unknown method has none."""
    service = "payhub.provider.v1.PaymentProviderService"
    assert serve.max_deadline_s(f"{service}.AuthorizePayment") == 60
    assert serve.max_deadline_s(f"{service}.GetOperation") == 30
    assert serve.max_deadline_s(f"{service}.Nothing") is None


@pytest.mark.parametrize("told_s", [float("inf"), float("nan"), 1e300, 10**400, -5.0])
def test_a_pause_nobody_can_wait_for_is_still_a_refusal(told_s: float) -> None:
    """What upstream calls a pause may be anything; that nothing was done gets through."""
    limited = errors.RateLimited("slow down", retry_after_s=told_s)
    travels = errors.to_rpc(limited, domain="mock")
    info, failure = details(travels)
    assert (info.reason, failure.effect) == ("UPSTREAM_RATE_LIMITED", NONE)
    assert travels.retry_after_s is not None
    assert 0 <= travels.retry_after_s <= errors.RETRY_AFTER_MAX_S
