"""What a binding is, one tenant's use of one provider, and what it lets through.

Owns its id, its fields, its options (limits and switches) and the judgement of one
operation against them. Called by routing, by the use cases of bindings and by the catalog, which
keeps bindings in memory. Never holds a configuration's text or a secret.
"""

import datetime
import functools
import uuid
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field

from payment_service.domain import model

UTC = "UTC"
# The tenant of the binding that every tenant without one of its own uses.
SHARED = "*"

# Fixed for ever, and part of the contract: binding ids are derived from it, stored with
# payments, and in the addresses that providers send webhooks to.
_IDS = uuid.UUID("6f0f4c0e-31a5-4f2f-9b6c-7d1f5d2f4a10")

_NEW_KINDS = frozenset(
    {
        *model.INITIAL_KINDS,
        *model.CUSTOMER_KINDS,
        model.Kind.ATTACH_PAYMENT_METHOD,
        model.Kind.CREATE_PLAN,
        model.Kind.CREATE_SUBSCRIPTION,
        model.Kind.CREATE_CHECKOUT,
    }
)
_METHODS = {
    model.Kind.AUTHORIZE: model.CaptureMethod.MANUAL,
    model.Kind.SALE: model.CaptureMethod.AUTOMATIC,
}
# What has an amount to be judged beside new payments.
_AMOUNTS = frozenset({model.Kind.INCREMENT, model.Kind.CREATE_CHECKOUT})
# How an operation that was counted can end so that it counts no longer.
WITHOUT_EFFECT = frozenset(
    {
        model.OperationState.DECLINED,
        model.OperationState.NOT_SENT,
        # Voided before it took anything.
        model.OperationState.SUPERSEDED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one currency, minor units; 0 for none.

    They hold for authorizations, with what they are raised by, sales and, but for the day's,
    checkouts of an amount. `daily_minor` is
    the sum of one day in the binding's zone; operations in doubt count, those that ended
    without effect don't.
    """

    min_minor: int = 0
    max_minor: int = 0
    daily_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an operator allows a binding to do.

    Args:
        limits: By currency; a currency that is not named has none.
        zone: IANA name of the zone whose days daily limits count.
        off: Kinds of operations that are switched off.
        off_methods: Capture methods that are switched off.
        disabled: It takes no new payments and customers; what was begun goes on.
    """

    limits: Mapping[str, Limits] = field(default_factory=dict)
    zone: str = UTC
    off: frozenset[model.Kind] = frozenset()
    off_methods: frozenset[model.CaptureMethod] = frozenset()
    disabled: bool = False

    @property
    def restricts(self) -> bool:
        """Whether anything has to be judged at all."""
        return bool(self.limits or self.off or self.off_methods or self.disabled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One tenant's use of one provider; tenant `*` for the one that others share.

    `generation` and `revision` rise with every change; the latter is the entity version
    of its events. A deleted binding is kept as a tombstone, so that both go on rising and
    plugins are told later times only (see `wire_generation`).
    """

    id: str
    tenant_id: str
    plugin_id: str
    generation: int
    revision: int
    options: Options = Options()
    schema_digest: str = ""
    created_us: int = 0
    updated_us: int = 0
    deleted_us: int = 0

    @property
    def deleted(self) -> bool:
        """Whether it is there for its generation only."""
        return self.deleted_us > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an operation is not let through. `reason` is one of the contract's."""

    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What an operation takes from its binding's daily limit.

    `day` is the date in the binding's zone, `limit_minor` the most of that day.
    """

    binding_id: str
    day: str
    zone: str
    currency: str
    amount_minor: int
    limit_minor: int


@functools.lru_cache(maxsize=4096)
def binding_id(tenant_id: str, plugin_id: str) -> str:
    """Returns the id of a tenant's binding to a plugin, `*` for the shared one: always the same."""
    return str(uuid.uuid5(_IDS, f"{tenant_id}/{plugin_id}"))


def wire_generation(own: Binding | None, shared: Binding | None) -> int:
    """Returns the generation a plugin is told of a tenant's binding; 0 if there is none.

    It is when the content was last changed, which is later than every earlier change of a
    binding to the same plugin. A tenant's may be fed by the shared row, by its own and by
    the shared one again, and a database may have been restored from a backup: whatever is
    stored after that counts as newer than what the plugin holds.
    """
    return max(own.updated_us if own else 0, shared.updated_us if shared else 0)


def judge(options: Options, kind: model.Kind, amount_minor: int, currency: str) -> Refusal | None:
    """Returns why *options* don't let an operation through, or None.

    *amount_minor* is what will be held or taken; of an increment, all that will be. Daily
    limits are counted in the database, in the transaction of the intent.
    """
    if options.disabled and kind in _NEW_KINDS:
        text = "this binding is disabled; what was paid before can still be captured, canceled "
        return _off("binding", f"{text}and refunded")
    if kind in options.off:
        return _off(f"KIND_{kind.name}", f"{kind.name.lower()} is switched off for this binding")
    if (kind not in _METHODS and kind not in _AMOUNTS) or not amount_minor:
        return None
    method = _METHODS.get(kind)
    if method is not None and method in options.off_methods:
        text = f"{method.name.lower()} capture is switched off for this binding"
        return _off(f"CAPTURE_METHOD_{method.name}", text)
    limits = options.limits.get(currency)
    if limits is None:
        return None
    more = kind is model.Kind.INCREMENT
    if limits.min_minor and amount_minor < limits.min_minor and not more:
        return _beyond("min", limits.min_minor, amount_minor, currency)
    if limits.max_minor and amount_minor > limits.max_minor:
        return _beyond("max", limits.max_minor, amount_minor, currency)
    return None


def _off(feature: str, message: str) -> Refusal:
    return Refusal(reason="FEATURE_DISABLED", message=message, metadata={"feature": feature})


def _beyond(limit: str, limit_minor: int, amount_minor: int, currency: str) -> Refusal:
    word = "least" if limit == "min" else "most"
    return Refusal(
        reason="LIMIT_EXCEEDED",
        message=f"the {word} that this binding takes at once is {limit_minor} minor units "
        f"of {currency}, not {amount_minor}",
        metadata={
            "limit": limit,
            "limit_minor": str(limit_minor),
            "amount_minor": str(amount_minor),
            "currency_code": currency,
        },
    )


def over_the_day(counted_: "Counted", used_minor: int) -> Refusal:
    """Returns the refusal of an amount that is more than is left of a day's limit."""
    left_minor = max(counted_.limit_minor - used_minor, 0)
    return Refusal(
        reason="LIMIT_EXCEEDED",
        message=f"this binding takes {counted_.limit_minor} minor units of {counted_.currency} "
        f"a day, and {left_minor} are left of {counted_.day}, not {counted_.amount_minor}",
        metadata={
            "limit": "daily",
            "limit_minor": str(counted_.limit_minor),
            "used_minor": str(used_minor),
            "amount_minor": str(counted_.amount_minor),
            "currency_code": counted_.currency,
            "day": counted_.day,
            "time_zone": counted_.zone,
        },
    )


def counted(
    binding_id: str,
    options: Options,
    kind: model.Kind,
    amount_minor: int,
    currency: str,
    now_us: int,
) -> Counted | None:
    """Returns what an operation takes from a daily limit, or None if there is none."""
    if not options.limits or kind not in (*model.INITIAL_KINDS, model.Kind.INCREMENT):
        return None
    limits = options.limits.get(currency)
    if limits is None or not limits.daily_minor:
        return None
    return Counted(
        binding_id=binding_id,
        day=day(options.zone, now_us),
        zone=options.zone,
        currency=currency,
        amount_minor=amount_minor,
        limit_minor=limits.daily_minor,
    )


def day(zone: str, now_us: int) -> str:
    """Returns the date of a moment in a zone, like `2026-11-21`."""
    moment = datetime.datetime.fromtimestamp(now_us // 1_000_000, _zone(zone))
    return moment.date().isoformat()


def is_zone(name: str) -> bool:
    """Whether *name* is an IANA time zone that is known here."""
    try:
        _zone(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@functools.lru_cache(maxsize=1024)
def _zone(name: str) -> datetime.tzinfo:
    # Known without a database of zones, which small images lack.
    return datetime.UTC if name == UTC else zoneinfo.ZoneInfo(name)
