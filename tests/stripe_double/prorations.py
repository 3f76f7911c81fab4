"""Changes of a running subscription, and what they cost for the rest of the period.

Owns the change of items with credits and charges for unused time. Called by subscriptions.
"""

from typing import Any

from tests.stripe_double import (
    calls,
    drafts,
    errors,
    forms,
    invoicing,
    periods,
    store,
    subscribing,
    subscription_params,
)

Json = dict[str, Any]

_BEHAVIORS = {"create_prorations", "always_invoice", "none"}


def credit(world: store.World, subscription: Json, at: int | None = None) -> None:
    """Gives back, on the next invoice, what the rest of the period is worth."""
    if subscription["status"] == "trialing":
        return
    waiting = world.behind(subscription["id"])["prorations"]
    for item in subscribing.items(subscription):
        waiting.append(_line(world, subscription, item, -1, at or world.clock.now()))


def charge(world: store.World, subscription: Json, at: int | None = None) -> None:
    """Charges, on the next invoice, what the rest of the period costs."""
    if subscription["status"] == "trialing":
        return
    waiting = world.behind(subscription["id"])["prorations"]
    for item in subscribing.items(subscription):
        waiting.append(_line(world, subscription, item, 1, at or world.clock.now()))


def _line(world: store.World, subscription: Json, item: Json, sign: int, at: int) -> Json:
    start, end = item["current_period_start"], item["current_period_end"]
    price = item["price"]
    amount = periods.share(price["unit_amount"] * item["quantity"], start, end, at)
    words = "Unused time on" if sign < 0 else "Remaining time on"
    return drafts.line(
        amount=sign * amount,
        currency=subscription["currency"],
        description=f"{words} {price['nickname'] or price['product']}",
        start=at,
        end=end,
        price=price,
        quantity=item["quantity"],
        item=item,
        proration=True,
    )


def _new_items(call: calls.Call, subscription: Json) -> list[Json]:
    """Returns the items after the request: changed by id, added without, removed if deleted."""
    found = {item["id"]: store.copied(item) for item in subscribing.items(subscription)}
    for params in call.params.groups("items"):
        params.only({"id", "price", "price_data", "quantity", "deleted", "metadata"})
        name = params.text("id")
        if name is not None and name not in found:
            raise errors.no_such("subscription item", name, params.path("id"))
        if name is not None and params.flag("deleted"):
            found.pop(name)
            continue
        if name is None:
            price = subscription_params.price_of(call, params)
            quantity = params.number("quantity", 1) or 1
            item = subscription_params.make_item(subscription["id"], price, quantity, call.now())
            found[item["id"]] = item
            continue
        _change(call, found[name], params)
    if not found:
        raise errors.wrong_state("A subscription needs at least one item.", param="items")
    intervals = {
        (item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"])
        for item in found.values()
    }
    if len(intervals) > 1:
        raise errors.bad_parameter("All prices must have the same recurring interval.", "items")
    if {item["price"]["currency"] for item in found.values()} != {subscription["currency"]}:
        raise errors.bad_parameter("All prices must use the same currency.", "items")
    return list(found.values())


def _change(call: calls.Call, item: Json, params: forms.Params) -> None:
    if "price" in params or "price_data" in params:
        price = subscription_params.price_of(call, params)
        made = subscription_params.make_item(item["subscription"], price, 1, call.now())
        item |= {"price": made["price"], "plan": made["plan"]}
    quantity = params.number("quantity", item["quantity"]) or 0
    if quantity < 1:
        raise errors.bad_parameter("Invalid positive integer", params.path("quantity"))
    item["quantity"] = quantity
    item["metadata"] = params.metadata(item["metadata"])


def apply(call: calls.Call, subscription: Json, changes: Json) -> None:
    """Applies changed fields and items, with the event and the invoice that follow."""
    params, world, account = call.params, call.world, call.account
    behavior = params.choice("proration_behavior", _BEHAVIORS, "create_prorations")
    at = params.number("proration_date")
    payment = params.choice(
        "payment_behavior",
        {"allow_incomplete", "default_incomplete", "error_if_incomplete"},
        "allow_incomplete",
    )
    before, behind = store.copied(subscription), world.behind(subscription["id"])
    waiting = list(behind["prorations"])
    invoices_now = behavior == "always_invoice"
    ends_trial = subscription["status"] == "trialing" and params.text("trial_end") == "now"
    resets = params.choice("billing_cycle_anchor", {"now", "unchanged"}) == "now"
    if "items" in params or resets:
        items = _new_items(call, subscription)
        moved = resets or _recurs(items) != _recurs(subscribing.items(subscription))
        if behavior != "none":
            credit(world, subscription, at)
        _place(subscription, items)
        if moved and subscription["status"] != "trialing":
            # A new interval begins a new period, which is billed at once.
            subscription["billing_cycle_anchor"] = call.now()
            subscribing.begin_period(subscription, call.now())
            behind["prorations"] += subscribing.lines(subscription)
            invoices_now = True
        elif behavior != "none":
            charge(world, subscription, at)
    if params.text("trial_end") not in (None, "now"):
        if behavior != "none":
            credit(world, subscription, at)
        until = subscription_params.trial_end(call)
        begun = subscription["trial_start"] or call.now()
        changes |= {"status": "trialing", "trial_end": until, "trial_start": begun}
        changes["billing_cycle_anchor"] = until
        subscribing.begin_period(subscription, call.now(), until)
    if ends_trial:
        now = call.now()
        changes |= {"status": "active", "trial_end": now, "billing_cycle_anchor": now}
        world.update(subscription, changes)
        subscribing.begin_period(subscription, now)
        behind["prorations"] += subscribing.lines(subscription)
        invoices_now = True
    world.update(subscription, changes)
    if invoices_now and behind["prorations"]:
        invoice = subscribing.bill(world, account, subscription, "subscription_update", [])
        _collect(call, subscription, invoice, before, waiting, str(payment))
    _tell(world, account, subscription, before)


def _recurs(items: list[Json]) -> tuple[str, int]:
    recurring = items[0]["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _place(subscription: Json, items: list[Json]) -> None:
    old = subscribing.items(subscription)[0]
    for item in items:
        for name in ("current_period_start", "current_period_end"):
            item[name] = old[name]
    subscription["items"]["data"] = items


def _collect(
    call: calls.Call,
    subscription: Json,
    invoice: Json,
    before: Json,
    waiting: list[Json],
    payment: str,
) -> None:
    world, account = call.world, call.account
    if payment == "default_incomplete":
        invoicing.finalize(world, account, invoice)
        return
    off_session = call.params.flag("off_session")
    # A change that fails as a whole leaves no trace of dunning.
    world.behind(subscription["id"])["quiet"] = payment == "error_if_incomplete"
    refusal = subscribing.first_payment(world, account, subscription, off_session=off_session)
    world.behind(subscription["id"])["quiet"] = False
    if refusal is None or payment != "error_if_incomplete":
        return
    invoicing.close(world, account, invoice, "void")
    world.clock.cancel("invoice.retry", invoice["id"])
    subscription.clear()
    subscription.update(before)
    world.behind(subscription["id"])["prorations"] = waiting
    raise refusal


def _tell(world: store.World, account: str, subscription: Json, before: Json) -> None:
    previous = {name: value for name, value in before.items() if subscription.get(name) != value}
    if not previous:
        return
    world.record("subscription.updated", subscription)
    world.emit("customer.subscription.updated", subscription, previous)
    if subscription["status"] not in subscribing.ENDED:
        subscribing.start_timers(world, account, subscription)
