"""Which instance of a plugin gets an operation.

Owns the share of a canary and the order in which instances are tried. Called by `pool` and
`roster`, and by `pool` for an order only where there is more than one instance. Pure: it is
told what there is.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from payment_service.domain import admission, model, plugins

NEW_KINDS = frozenset(
    {
        model.Kind.AUTHORIZE,
        model.Kind.SALE,
        model.Kind.CREATE_CUSTOMER,
        model.Kind.ATTACH_PAYMENT_METHOD,
        model.Kind.CREATE_PLAN,
        model.Kind.CREATE_SUBSCRIPTION,
        model.Kind.CREATE_CHECKOUT,
    }
)


class Instance(Protocol):
    """What is asked of an instance that may be called."""

    @property
    def version(self) -> str:
        """Version it stated."""

    @property
    def directive(self) -> plugins.Directive:
        """What core wants of it."""

    @property
    def draining(self) -> bool:
        """Whether it has said that it takes nothing new."""

    @property
    def active(self) -> int:
        """Calls of ours in progress."""


I = TypeVar("I", bound=Instance)  # noqa: E741


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Versions that take new operations: `current`, but for `percent` of 100 on `canary`.

    Both are '' until a version has been seen; then the newest takes everything. `previous`
    stands by, to go back to.
    """

    current: str = ""
    canary: str = ""
    previous: str = ""
    percent: int = 0


def in_canary(operation_id: str, percent: int) -> bool:
    """Whether an operation belongs to the canary's share; always the same for one id."""
    return zlib.crc32(operation_id.encode()) % 100 < percent


def version_for(plan: Plan, operation_id: str, kind: model.Kind) -> str:
    """Returns the version an operation should go to; '' for the newest.

    A follow-up of a payment goes to the current version whichever made the payment: the
    state of a payment is upstream.
    """
    if plan.canary and kind in NEW_KINDS and in_canary(operation_id, plan.percent):
        return plan.canary
    return plan.current


def may_return(plan: Plan, version: str) -> bool:
    """Whether a version of which nobody is there may come back.

    What is in no plan was redeployed in place, left or retired.
    """
    return bool(version) and version in (plan.current, plan.canary, plan.previous)


def asked_first(plan: Plan, version: str) -> str:
    """Returns the version to ask what became of an operation that *version* had.

    That is it as long as it takes new operations: on trial, it may keep something where the one
    before does not look. What was left is not asked: its successor finds what it did.
    """
    return version if version and version == plan.canary else plan.current


def preferred(instances: Iterable[I], plan: Plan, wanted: str) -> list[I]:
    """Returns *instances* in the order to try them.

    What is to retire or stands by comes after everything else, what drains last; then the
    wanted version, the other one of the plan, and the newest of the rest; then the one with
    the fewest calls.
    """
    ordered = sorted(instances, key=lambda each: each.active)
    ordered.sort(key=lambda each: admission.version_order(each.version), reverse=True)
    ordered.sort(key=lambda each: (_rank(each), _distance(each.version, plan, wanted)))
    return ordered


def _rank(instance: Instance) -> int:
    if instance.draining:
        return 2
    return 0 if instance.directive is plugins.Directive.CONTINUE else 1


def _distance(version: str, plan: Plan, wanted: str) -> int:
    if not wanted or version == wanted:
        return 0
    return 1 if version in (plan.current, plan.canary) else 2
