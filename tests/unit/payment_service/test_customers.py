"""What happens to customers, against a table written by hand."""

from dataclasses import replace

import pytest

from payment_service.domain import customers, model, outcomes
from tests.unit.payment_service import build, expected, samples

S = model.OperationState
K = model.Kind
O = outcomes.Outcome  # noqa: E741
V = outcomes.Verdict
Y = model.SyncState

LATER_US = build.NOW_US + 5_000

# What an operation in that state says of the newest profile.
SYNC = {
    S.PENDING: Y.PENDING,
    S.REQUIRES_ACTION: Y.PENDING,
    S.IN_DOUBT: Y.IN_DOUBT,
    S.SUCCEEDED: Y.SYNCED,
    S.DECLINED: Y.FAILED,
    S.NOT_SENT: Y.FAILED,
    S.SUPERSEDED: Y.FAILED,
}


def _operation(state: model.OperationState = S.IN_FLIGHT) -> model.Operation:
    return build.operation(
        K.UPDATE_CUSTOMER, entity_id="cus_1", state=state, version=2, provider_operation_id="known"
    )


@pytest.mark.parametrize("is_newest", [True, False])
@pytest.mark.parametrize("sync", Y)
def test_every_report_does_what_the_rules_say(sync: model.SyncState, is_newest: bool) -> None:
    """Verdict, sync state, provider's id, versions and the event, for the whole table."""
    for state in S:
        for outcome in O:
            for old in (False, True):
                for learned in ("", "prov-cus-1", "prov-cus-2"):
                    _check(sync, state, outcome, old=old, is_newest=is_newest, learned=learned)


def _check(
    sync: model.SyncState,
    state: model.OperationState,
    outcome: outcomes.Outcome,
    *,
    old: bool,
    is_newest: bool,
    learned: str,
) -> None:
    before = replace(samples.CUSTOMER, sync_state=sync)
    operation = _operation(state)
    report = build.report(
        outcome, 1 if old else 2, provider_object_id=learned, provider_operation_id=learned
    )
    verdict, change = customers.apply(before, operation, report, LATER_US, is_newest=is_newest)
    wanted, after = expected.judgement(state, outcome, old=old)
    if wanted is V.ILLEGAL and state is S.SUPERSEDED and not is_newest:
        wanted = V.STALE
    assert verdict is wanted
    if wanted is not V.APPLIED:
        assert change is None
        return
    assert change is not None
    settled = change.operation
    assert (settled.state, settled.version, settled.updated_us) == (after, 3, LATER_US)
    assert settled.provider_operation_id == (learned or "known")
    assert settled.failure == report.failure
    new_sync = SYNC[after] if is_newest else sync
    made = after is S.SUCCEEDED and learned
    new_id = learned if made else before.provider_customer_id
    if (new_sync, new_id) == (sync, before.provider_customer_id):
        assert (change.customer, change.before, change.event_type) == (before, None, "")
        return
    assert (change.before, change.event_type) == (before, "customer.updated")
    assert change.customer == replace(
        before,
        sync_state=new_sync,
        provider_customer_id=new_id,
        version=before.version + 1,
        updated_us=LATER_US,
    )


def test_a_new_customer_is_one_event() -> None:
    """The snapshot of `customer.created` is version 1 and waits for the provider."""
    customer = replace(samples.CUSTOMER, version=1, sync_state=Y.PENDING)
    change = customers.create(customer, _operation())
    assert (change.customer, change.event_type, change.before) == (
        customer,
        "customer.created",
        None,
    )


@pytest.mark.parametrize("sync", Y)
def test_an_update_replaces_the_profile_and_waits_for_the_provider(sync: model.SyncState) -> None:
    """Whatever became of the earlier profile, the new one is sent."""
    before = replace(samples.CUSTOMER, sync_state=sync)
    profile = model.Profile(name="Grace")
    operation = _operation()
    change = customers.update(before, profile, operation, LATER_US)
    assert change.customer == replace(
        before,
        profile=profile,
        sync_state=Y.PENDING,
        version=before.version + 1,
        updated_us=LATER_US,
    )
    assert (change.operation, change.before) == (operation, before)
    assert change.event_type == "customer.updated"


def test_the_providers_id_is_learned_once_the_customer_was_made() -> None:
    """A customer that is pending at the provider may come to nothing."""
    new = replace(samples.CUSTOMER, provider_customer_id="", sync_state=Y.PENDING)
    waiting = build.report(O.PENDING, 2, provider_object_id="prov-cus-9")
    _, change = customers.apply(new, _operation(), waiting, LATER_US, is_newest=True)
    assert change is not None
    assert change.customer.provider_customer_id == ""
    made = build.report(O.SUCCEEDED, 3, provider_object_id="prov-cus-9")
    _, change = customers.apply(new, change.operation, made, LATER_US, is_newest=True)
    assert change is not None
    assert change.customer.provider_customer_id == "prov-cus-9"


@pytest.mark.parametrize("state", S)
def test_a_customer_is_being_made_while_an_operation_may_still_make_it(
    state: model.OperationState,
) -> None:
    """Another try would make it twice; one that the provider has is only changed."""
    new = replace(samples.CUSTOMER, provider_customer_id="")
    is_open = state in (S.IN_FLIGHT, S.PENDING, S.REQUIRES_ACTION, S.IN_DOUBT)
    ended = build.operation(K.CREATE_CUSTOMER, state=S.DECLINED)
    tries = [_operation(state), ended]
    assert customers.is_being_made(new, tries) is is_open
    assert not customers.is_being_made(new, [ended])
    assert not customers.is_being_made(samples.CUSTOMER, tries)


def test_only_the_newest_operation_says_whether_the_provider_is_up_to_date() -> None:
    """An older update that succeeds late does not hide that the newest one failed."""
    failed = replace(samples.CUSTOMER, sync_state=Y.FAILED)
    verdict, change = customers.apply(
        failed, _operation(S.IN_DOUBT), build.report(O.SUCCEEDED, 2), LATER_US, is_newest=False
    )
    assert verdict is V.APPLIED
    assert change is not None
    assert change.customer.sync_state is Y.FAILED


@pytest.mark.parametrize("outcome", O)
def test_nothing_contradicts_an_update_that_was_overwritten(outcome: outcomes.Outcome) -> None:
    """It ended whatever became of it; what the provider ended by itself, and what made a
    customer, did not.
    """
    report = build.report(outcome, 2, provider_object_id="prov-cus-1")

    def is_raised(kind: model.Kind, *, is_newest: bool) -> bool:
        ended = replace(_operation(S.SUPERSEDED), kind=kind)
        verdict, change = customers.apply(
            samples.CUSTOMER, ended, report, LATER_US, is_newest=is_newest
        )
        assert change is None
        return verdict is V.ILLEGAL

    contradicts = outcome in (O.SUCCEEDED, O.NOT_SENT)
    assert not is_raised(K.UPDATE_CUSTOMER, is_newest=False)
    assert is_raised(K.UPDATE_CUSTOMER, is_newest=True) is contradicts
    assert is_raised(K.CREATE_CUSTOMER, is_newest=False) is contradicts
