"""Which instance gets an operation: versions, canary share, stand-by, drain and load."""

import random
from dataclasses import dataclass

import pytest

from payment_service.domain import model, plugins
from payment_service.provider_client import choosing

D = plugins.Directive
PLAN = choosing.Plan(current="1.0.0", canary="1.1.0", percent=20)
IDS = [f"op_{random.Random(number).randbytes(16).hex()}" for number in range(5000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What choosing looks at."""

    version: str = "1.0.0"
    directive: plugins.Directive = D.CONTINUE
    draining: bool = False
    active: int = 0


def test_the_canary_gets_its_share_of_new_operations() -> None:
    """20 percent, give or take what chance does to 5000."""
    chosen = [choosing.version_for(PLAN, each, model.Kind.SALE) for each in IDS]
    share = chosen.count("1.1.0") / len(chosen)
    assert set(chosen) == {"1.0.0", "1.1.0"}
    assert share == pytest.approx(0.2, abs=0.02)


def test_an_operation_belongs_to_the_same_side_whenever_it_is_asked() -> None:
    """Growing the share moves operations to the canary and none back."""
    small = {each for each in IDS if choosing.in_canary(each, 10)}
    assert small == {each for each in IDS if choosing.in_canary(each, 10)}
    assert small < {each for each in IDS if choosing.in_canary(each, 50)}
    assert all(choosing.in_canary(each, 100) for each in IDS)
    assert not any(choosing.in_canary(each, 0) for each in IDS)


@pytest.mark.parametrize("kind", [model.Kind.CAPTURE, model.Kind.VOID, model.Kind.REFUND])
def test_follow_ups_are_not_part_of_the_trial(kind: model.Kind) -> None:
    """They go to the current version, whichever one made the payment."""
    plan = choosing.Plan(current="1.0.0", canary="1.1.0", percent=100)
    assert choosing.version_for(plan, IDS[0], kind) == "1.0.0"


def first(plan: choosing.Plan, wanted: str, *instances: Instance) -> Instance:
    """Returns the instance that is tried first, whatever their order."""
    found = {choosing.preferred(order, plan, wanted)[0] for order in (instances, instances[::-1])}
    (only,) = found
    return only


def test_the_wanted_version_comes_first_then_the_plan_s_other_one_then_the_newest() -> None:
    """So that operations go on when every instance of a version is gone."""
    current, canary = Instance(), Instance(version="1.1.0")
    older, newer = Instance(version="0.9.0"), Instance(version="1.10.0")
    everything = [older, newer, canary, current]
    assert choosing.preferred(everything, PLAN, "1.1.0") == [canary, current, newer, older]
    assert choosing.preferred(everything, PLAN, "1.0.0") == [current, canary, newer, older]


def test_without_a_plan_the_newest_version_takes_everything() -> None:
    """By the order of versions, not of texts."""
    newest = Instance(version="1.10.0")
    assert first(choosing.Plan(), "", Instance(version="1.9.0"), newest) == newest


@pytest.mark.parametrize("directive", [D.STAND_BY, D.RETIRE])
def test_what_stands_by_or_retires_is_the_last_resort(directive: plugins.Directive) -> None:
    """Even of the wanted version; and it is one, when nothing else is left."""
    waiting = Instance(directive=directive)
    other = Instance(version="0.9.0")
    assert first(PLAN, "1.0.0", waiting, other) == other
    assert first(PLAN, "1.0.0", waiting, Instance(draining=True, version="1.1.0")) == waiting


def test_the_instance_with_the_fewest_calls_is_tried_first() -> None:
    """Among equals."""
    busy, idle = Instance(active=7), Instance(active=2)
    assert first(PLAN, "1.0.0", busy, idle) == idle


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0", "0.9.0"])
def test_a_version_in_use_may_return(version: str) -> None:
    """Current, on trial or to be gone back to: what crashed is started again."""
    plan = choosing.Plan(current="1.0.0", canary="1.1.0", previous="0.9.0")
    assert choosing.may_return(plan, version)


def test_what_was_retired_or_is_not_known_does_not_return() -> None:
    """Nor does anything before a version has been seen."""
    assert not choosing.may_return(PLAN, "0.9.0")
    assert not choosing.may_return(PLAN, "")
    assert not choosing.may_return(choosing.Plan(), "")


def test_only_what_is_on_trial_is_asked_about_its_own() -> None:
    """A look-up of all else goes to the current version, which knows what came before it."""
    plan = choosing.Plan(current="1.0.0", canary="1.1.0", previous="0.9.0")
    asked = [choosing.asked_first(plan, each) for each in ("1.1.0", "1.0.0", "0.9.0", "2.0.0", "")]
    assert asked == ["1.1.0", "1.0.0", "1.0.0", "1.0.0", "1.0.0"]
    assert choosing.asked_first(choosing.Plan(), "") == ""
