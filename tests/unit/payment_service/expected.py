"""What each report must do, written by hand from the rules of payments.

Owns the verdicts, the events and the reachable combinations that the code is
compared with. Called by the tests of outcomes, transitions and sequences. Never
imports a table of the code.
"""

from payment_service.domain import model, outcomes

P = model.PaymentState
S = model.OperationState
K = model.Kind
V = outcomes.Verdict

# Rows: the operation's state. Columns: a report on its current version. A state
# in capitals is the operation's state after an applied report.
_CURRENT = """
                SUCCEEDED  DECLINED  NOT_SENT  PENDING  ACTION_REQUIRED  VOIDED      UNKNOWN
IN_FLIGHT       SUCCEEDED  DECLINED  NOT_SENT  PENDING  REQUIRES_ACTION  SUPERSEDED  IN_DOUBT
PENDING         SUCCEEDED  DECLINED  illegal   repeat   REQUIRES_ACTION  SUPERSEDED  stale
REQUIRES_ACTION SUCCEEDED  DECLINED  illegal   PENDING  repeat           SUPERSEDED  stale
IN_DOUBT        SUCCEEDED  DECLINED  NOT_SENT  PENDING  REQUIRES_ACTION  SUPERSEDED  repeat
SUCCEEDED       repeat     illegal   illegal   stale    stale            illegal     stale
DECLINED        illegal    repeat    illegal   stale    stale            stale       stale
NOT_SENT        illegal    illegal   repeat    illegal  illegal          illegal     stale
SUPERSEDED      illegal    stale     illegal   stale    stale            repeat      stale
"""

# The same for a report on an older version: only what a provider never takes
# back counts.
_OLD = """
                SUCCEEDED  DECLINED  NOT_SENT  PENDING  ACTION_REQUIRED  VOIDED      UNKNOWN
IN_FLIGHT       SUCCEEDED  DECLINED  stale     stale    stale            SUPERSEDED  stale
PENDING         SUCCEEDED  DECLINED  stale     stale    stale            SUPERSEDED  stale
REQUIRES_ACTION SUCCEEDED  DECLINED  stale     stale    stale            SUPERSEDED  stale
IN_DOUBT        SUCCEEDED  DECLINED  stale     stale    stale            SUPERSEDED  stale
SUCCEEDED       repeat     illegal   stale     stale    stale            illegal     stale
DECLINED        illegal    repeat    stale     stale    stale            stale       stale
NOT_SENT        illegal    illegal   stale     stale    stale            illegal     stale
SUPERSEDED      illegal    stale     stale     stale    stale            repeat      stale
"""

Judgement = tuple[outcomes.Verdict, model.OperationState]


def _read(grid: str) -> dict[tuple[model.OperationState, outcomes.Outcome], Judgement]:
    header, *rows = (line.split() for line in grid.strip().splitlines())
    found: dict[tuple[model.OperationState, outcomes.Outcome], Judgement] = {}
    for name, *cells in rows:
        state = model.OperationState[name]
        for column, cell in zip(header, cells, strict=True):
            applied = cell.isupper()
            after = model.OperationState[cell] if applied else state
            verdict = V.APPLIED if applied else outcomes.Verdict[cell.upper()]
            found[state, outcomes.Outcome[column]] = (verdict, after)
    return found


_JUDGEMENTS = {False: _read(_CURRENT), True: _read(_OLD)}


def judgement(state: model.OperationState, outcome: outcomes.Outcome, *, old: bool) -> Judgement:
    """Returns the verdict and the operation's state after it."""
    return _JUDGEMENTS[old][state, outcome]


# Where the authorization or sale puts the payment.
INITIAL = {
    (K.AUTHORIZE, S.SUCCEEDED): P.AUTHORIZED,
    (K.SALE, S.SUCCEEDED): P.SUCCEEDED,
    **{(kind, S.DECLINED): P.FAILED for kind in (K.AUTHORIZE, K.SALE)},
    **{(kind, S.NOT_SENT): P.FAILED for kind in (K.AUTHORIZE, K.SALE)},
    **{(kind, S.PENDING): P.PROCESSING for kind in (K.AUTHORIZE, K.SALE)},
    **{(kind, S.REQUIRES_ACTION): P.REQUIRES_ACTION for kind in (K.AUTHORIZE, K.SALE)},
    **{(kind, S.IN_DOUBT): P.IN_DOUBT for kind in (K.AUTHORIZE, K.SALE)},
    **{(kind, S.SUPERSEDED): P.CANCELED for kind in (K.AUTHORIZE, K.SALE)},
}

ENTERED = {
    P.PROCESSING: "payment.processing",
    P.REQUIRES_ACTION: "payment.requires_action",
    P.AUTHORIZED: "payment.authorized",
    P.SUCCEEDED: "payment.succeeded",
    P.FAILED: "payment.failed",
    P.CANCELED: "payment.canceled",
    P.IN_DOUBT: "payment.in_doubt",
}

# A capture, increment or void that ends without effect. From a doubt: the doubt is resolved.
WITHOUT_EFFECT = {
    K.CAPTURE: {
        S.IN_FLIGHT: "payment.capture_failed",
        S.PENDING: "payment.capture_failed",
        S.REQUIRES_ACTION: "payment.capture_failed",
        S.IN_DOUBT: "payment.resolved",
    },
    K.INCREMENT: {
        S.IN_FLIGHT: "payment.increment_failed",
        S.PENDING: "payment.increment_failed",
        S.REQUIRES_ACTION: "payment.increment_failed",
        S.IN_DOUBT: "payment.resolved",
    },
    K.VOID: {
        S.IN_FLIGHT: "payment.void_failed",
        S.PENDING: "payment.void_failed",
        S.REQUIRES_ACTION: "payment.void_failed",
        S.IN_DOUBT: "payment.resolved",
    },
}

REFUNDS = {
    S.SUCCEEDED: ("refund.succeeded", model.RefundState.SUCCEEDED),
    S.DECLINED: ("refund.failed", model.RefundState.FAILED),
    S.NOT_SENT: ("refund.failed", model.RefundState.FAILED),
    S.SUPERSEDED: ("refund.failed", model.RefundState.FAILED),
    S.PENDING: ("refund.pending", model.RefundState.PENDING),
    S.REQUIRES_ACTION: ("refund.pending", model.RefundState.PENDING),
    S.IN_DOUBT: ("refund.in_doubt", model.RefundState.IN_DOUBT),
}

_ALL_BUT_CREATED = {*P} - {P.CREATED}
_ENDED_ATTEMPT = _ALL_BUT_CREATED  # a failed payment may be confirmed again
_WITH_OPEN_VOID = {P.PROCESSING, P.REQUIRES_ACTION, P.AUTHORIZED, P.SUCCEEDED, P.CANCELED}
_MONEY_IN = {
    S.IN_FLIGHT: {P.PROCESSING},
    S.PENDING: {P.PROCESSING},
    S.REQUIRES_ACTION: {P.REQUIRES_ACTION},
    S.IN_DOUBT: {P.IN_DOUBT},
    S.DECLINED: _ENDED_ATTEMPT,
    S.NOT_SENT: _ENDED_ATTEMPT,
    S.SUPERSEDED: {P.CANCELED},
}
_NO_EFFECT = (S.DECLINED, S.NOT_SENT, S.SUPERSEDED)

# In which states a payment can be whose operation of that kind is in that state.
REACHABLE: dict[model.Kind, dict[model.OperationState, set[model.PaymentState]]] = {
    K.AUTHORIZE: {**_MONEY_IN, S.SUCCEEDED: {P.AUTHORIZED, P.SUCCEEDED, P.CANCELED}},
    K.SALE: {
        **_MONEY_IN,
        S.DECLINED: _ENDED_ATTEMPT - {P.AUTHORIZED},
        S.NOT_SENT: _ENDED_ATTEMPT - {P.AUTHORIZED},
        S.SUCCEEDED: {P.SUCCEEDED},
    },
    K.CAPTURE: {
        S.IN_FLIGHT: {P.AUTHORIZED},
        S.PENDING: {P.AUTHORIZED},
        S.REQUIRES_ACTION: {P.AUTHORIZED},
        S.IN_DOUBT: {P.AUTHORIZED},
        S.SUCCEEDED: {P.AUTHORIZED, P.SUCCEEDED},
        **{state: {P.AUTHORIZED, P.SUCCEEDED, P.CANCELED} for state in _NO_EFFECT},
    },
    K.INCREMENT: {
        **{
            state: {P.AUTHORIZED}
            for state in (S.IN_FLIGHT, S.PENDING, S.REQUIRES_ACTION, S.IN_DOUBT)
        },
        **{state: {P.AUTHORIZED, P.SUCCEEDED, P.CANCELED} for state in (S.SUCCEEDED, *_NO_EFFECT)},
    },
    K.VOID: {
        S.IN_FLIGHT: _WITH_OPEN_VOID,
        S.PENDING: _WITH_OPEN_VOID,
        S.REQUIRES_ACTION: _WITH_OPEN_VOID,
        S.IN_DOUBT: _WITH_OPEN_VOID,
        S.SUCCEEDED: {P.CANCELED, P.SUCCEEDED},
        **{state: {*_ALL_BUT_CREATED} for state in _NO_EFFECT},
    },
    K.REFUND: {state: {P.AUTHORIZED, P.SUCCEEDED} for state in S},
    K.CREATE_CUSTOMER: {},
    K.UPDATE_CUSTOMER: {},
}


def is_reachable(
    state: model.PaymentState, kind: model.Kind, operation_state: model.OperationState
) -> bool:
    """Whether a payment can get there at all."""
    return state in REACHABLE[kind].get(operation_state, set())
