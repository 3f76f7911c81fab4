"""Operations beside payments, as the ledger records them.

Owns which scenario clause and which checks belong to each kind, and that one
operation id has one effect. Called by the provider through `db.write`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from provider_mock import entries, ledger, scenarios
from provider_mock.billing import effects, preparing
from provider_sdk import errors
from servicekit import storage


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    clause: scenarios.Kind
    prepare: preparing.Prepare


_K = scenarios.Kind
_RULES: Mapping[str, _Rule] = {
    "ATTACH_PAYMENT_METHOD": _Rule(clause=_K.ATTACH, prepare=preparing.attach),
    "DETACH_PAYMENT_METHOD": _Rule(clause=_K.DETACH, prepare=preparing.method),
    "SET_DEFAULT_PAYMENT_METHOD": _Rule(clause=_K.DEFAULT, prepare=preparing.method),
    "CREATE_PLAN": _Rule(clause=_K.PLAN, prepare=preparing.plan),
    "ARCHIVE_PLAN": _Rule(clause=_K.ARCHIVE, prepare=preparing.price),
    "CREATE_SUBSCRIPTION": _Rule(clause=_K.SUBSCRIBE, prepare=preparing.subscribe),
    "CHANGE_SUBSCRIPTION": _Rule(clause=_K.CHANGE, prepare=preparing.change),
    "CANCEL_SUBSCRIPTION": _Rule(clause=_K.CANCEL, prepare=preparing.subscription),
    "REACTIVATE_SUBSCRIPTION": _Rule(clause=_K.REACTIVATE, prepare=preparing.reactivate),
    "CREATE_CHECKOUT": _Rule(clause=_K.CHECKOUT, prepare=preparing.checkout),
    "EXPIRE_CHECKOUT": _Rule(clause=_K.EXPIRE, prepare=preparing.expire),
    "SUBMIT_EVIDENCE": _Rule(clause=_K.EVIDENCE, prepare=preparing.evidence),
    "ACCEPT_DISPUTE": _Rule(clause=_K.ACCEPT, prepare=preparing.accept),
}


def record(conn: storage.Connection, entry: entries.Entry, kind: str) -> entries.Recorded:
    """Records an operation of *kind* and carries it out, or finds the one of this id.

    Raises:
        NotFound, InvalidRequest, StateConflict, Mismatch, TooLate, Injected: Nothing was
            recorded.
    """
    rule = _RULES[kind]
    try:
        entry, text = rule.prepare(conn, entry)
    except errors.ProviderError as error:
        return ledger.refuse(conn, entry, error)
    outcome = _outcome(entry, text, rule.clause)
    if outcome.fault in scenarios.BEFORE_COMMIT:
        return ledger.refuse(conn, entry, entries.Injected(outcome.fault))
    row = entries.row(entry, kind, outcome)
    if outcome.state == "DECLINED" and kind in effects.MAKERS:
        row = row._replace(object_id="")
    if not ledger.insert(conn, entry, row):
        return ledger.replay(conn, entry)
    if outcome.state == "SUCCEEDED":
        effects.carry_out(conn, row, entry.now_us)
    return entries.Recorded(row, outcome.fault)


def _outcome(entry: entries.Entry, text: str, clause: scenarios.Kind) -> scenarios.Outcome:
    forced = entry.force.outcome(clause) if entry.force is not None else None
    if forced is not None:
        return forced
    if not text:
        return scenarios.APPROVE
    scenario = scenarios.parse(text)
    return scenario.outcome(clause) if scenario is not None else scenarios.UNKNOWN_INSTRUMENT
