"""What a dispute is and what happens to it.

Owns its states, its rules, and what it takes from its payment. Called by the use cases.
Disputes are opened by payers' banks: core never makes one by itself.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from payment_service.domain import bindings, model
from payment_service.domain.mirrors import base, objects

State = objects.DisputeState

_CLOSED = frozenset({State.WON, State.LOST, State.WARNING_CLOSED})
_ANSWERABLE = frozenset({State.WARNING, State.NEEDS_RESPONSE})
# The bank has taken the money, for the time being or for good.
_TAKEN = frozenset({State.NEEDS_RESPONSE, State.UNDER_REVIEW, State.LOST})


class Action(enum.StrEnum):
    """What a caller may do, as names of RPCs."""

    SUBMIT = "SubmitDisputeEvidence"
    ACCEPT = "AcceptDispute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute(base.Mirrored):
    """A dispute about `payment_id`, minor units of `currency`; times are 0 where unknown."""

    payment_id: str
    user_id: str = ""
    state: State = State.NEEDS_RESPONSE
    amount_minor: int = 0
    currency: str = ""
    reason: str = ""
    evidence_due_us: int = 0
    has_evidence: bool = False
    open_us: int = 0

    @property
    def taken_minor(self) -> int:
        """What it has taken from the payment."""
        return self.amount_minor if self.state in _TAKEN else 0


def _show(before: Dispute, seen: objects.Dispute, links: base.Links) -> Dispute:
    return replace(
        before,
        state=seen.state,
        amount_minor=seen.amount_minor,
        currency=seen.currency,
        reason=seen.reason,
        evidence_due_us=seen.evidence_due_us,
        has_evidence=seen.has_evidence,
        open_us=seen.open_us,
    )


def _tell(before: Dispute | None, after: Dispute) -> base.Told[Dispute]:
    closed = after.state in _CLOSED
    if before is None:
        if not closed:
            return (("dispute.opened", after),)
        opened = replace(after, state=State.NEEDS_RESPONSE)
        return (("dispute.opened", opened), ("dispute.closed", after))
    if closed and before.state not in _CLOSED:
        return (("dispute.closed", after),)
    return (("dispute.updated", after),) if before.bare() != after.bare() else ()


def _adopt(new: base.New, seen: objects.Dispute, links: base.Links) -> Dispute | None:
    if not links.payment_id:
        return None
    return Dispute(
        id=new.id,
        tenant_id=new.tenant_id,
        place=new.place,
        payment_id=links.payment_id,
        user_id=links.user_id,
        created_us=new.now_us,
        updated_us=new.now_us,
    )


def available(dispute: Dispute) -> tuple[Action, ...]:
    """Returns what a caller may do now, as far as its state goes."""
    if dispute.state not in _ANSWERABLE:
        return ()
    if dispute.has_evidence:
        return (Action.ACCEPT,)
    return (Action.SUBMIT, Action.ACCEPT)


def refusal(
    dispute: Dispute, operations: Iterable[model.Operation], action: Action
) -> bindings.Refusal | None:
    """Returns why *action* is not possible now, or None."""
    if (open_ := base.busy(tuple(operations), dispute.place.provider)) is not None:
        return base.under_way(dispute, open_)
    allowed = available(dispute)
    if action in allowed:
        return None
    names = [one.value for one in allowed]
    hint = f"possible now: {', '.join(names)}" if names else "nothing is possible now"
    return base.conflict(
        f"{dispute.id} is {dispute.state.name}"
        f"{', with evidence' if dispute.has_evidence else ''}; {hint}",
        f"STATE_{dispute.state.name}",
        names,
    )


RULES: base.Rules[Dispute, objects.Dispute] = base.Rules(
    kind=objects.ObjectKind.DISPUTE,
    prefix="dsp",
    name="dispute",
    entity=Dispute,
    show=_show,
    tell=_tell,
    columns=lambda one: base.Columns(
        state=int(one.state), user_id=one.user_id, parent_id=one.payment_id
    ),
    adopt=_adopt,
    waits=lambda one: None if one.state in _CLOSED else 0,
    ended=lambda one: one.state in _CLOSED,
    kinds=frozenset({model.Kind.SUBMIT_EVIDENCE, model.Kind.ACCEPT_DISPUTE}),
)
