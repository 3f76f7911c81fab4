"""Every kind of mirrored entity there is.

Owns finding the rules of one by its objects, its operations or its id. Called by the use
cases and by `db.mirrors`. A new kind is one line here.
"""

from payment_service.domain import model
from payment_service.domain.mirrors import (
    base,
    checkouts,
    disputes,
    invoices,
    objects,
    payment_methods,
    plans,
    subscriptions,
)

RULES: dict[objects.ObjectKind, base.AnyRules] = {
    rules.kind: rules
    for rules in (
        payment_methods.RULES,
        plans.RULES,
        subscriptions.RULES,
        invoices.RULES,
        checkouts.RULES,
        disputes.RULES,
    )
}
BY_OPERATION: dict[model.Kind, base.AnyRules] = {
    kind: rules for rules in RULES.values() for kind in rules.kinds
}
BY_PREFIX: dict[str, base.AnyRules] = {rules.prefix: rules for rules in RULES.values()}
