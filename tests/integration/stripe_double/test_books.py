"""The books of the double, under requests in any order, without HTTP between."""

import collections
import re
from typing import Any

import hypothesis
from hypothesis import strategies

from tests.stripe_double import calls, errors, forms, routes, store, timeline

Json = dict[str, Any]

ACCOUNT = store.MAIN_ACCOUNT
# Few amounts, close to each other, so that sums meet their ceilings.
AMOUNTS = strategies.sampled_from([1, 2, 499, 500, 501, 999, 1000, 1001, 1003])
STEPS = strategies.lists(
    strategies.one_of(
        strategies.tuples(strategies.just("capture"), AMOUNTS, strategies.booleans()),
        strategies.tuples(strategies.just("refund"), AMOUNTS),
        strategies.tuples(strategies.just("increment"), AMOUNTS),
        strategies.tuples(strategies.just("cancel")),
        strategies.tuples(strategies.just("advance"), strategies.sampled_from([60, 3600, 700_000])),
    ),
    max_size=12,
)
REQUESTED = ("request_multicapture", "request_incremental_authorization")
METHODS = ("pm_card_visa", "pm_card_refundFail", "pm_card_pendingRefund", "pm_card_createDispute")


def _ask(world: store.World, path: str, **params: Any) -> Json | None:
    """Runs a POST as the server would, and returns its answer or None if it is refused."""
    for method, pattern, handler in routes.ROUTES:
        match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern), path)
        if match is not None and method == "POST":
            call = calls.Call(
                world=world,
                account=ACCOUNT,
                path=match.groupdict(),
                params=forms.Params(params),
                url=path,
            )
            try:
                return handler(call)
            except errors.Refusal:
                return None
            finally:
                timeline.run(world)
    raise AssertionError(path)


@hypothesis.given(
    steps=STEPS, method=strategies.sampled_from(METHODS), manual=strategies.booleans()
)
@hypothesis.settings(deadline=None, max_examples=150)
def test_nothing_is_captured_or_refunded_beyond_its_ceiling(
    steps: list[tuple[Any, ...]], method: str, manual: bool
) -> None:
    """Whatever is asked in whatever order, the ledger adds up to the charge and its ceilings."""
    world = store.World()
    asked = dict.fromkeys(REQUESTED, "if_available")
    intent = _ask(
        world,
        "/v1/payment_intents",
        amount="1000",
        currency="usd",
        confirm="true",
        payment_method=method,
        allowed_payment_method_types=["card"],
        capture_method="manual" if manual else "automatic",
        payment_method_options={"card": asked},
    )
    assert intent is not None
    path = f"/v1/payment_intents/{intent['id']}"
    for kind, *given in steps:
        if kind == "capture":
            final = str(given[1]).lower()
            _ask(world, f"{path}/capture", amount_to_capture=str(given[0]), final_capture=final)
        elif kind == "refund":
            _ask(world, "/v1/refunds", payment_intent=intent["id"], amount=str(given[0]))
        elif kind == "increment":
            _ask(world, f"{path}/increment_authorization", amount=str(given[0]))
        elif kind == "cancel":
            _ask(world, f"{path}/cancel")
        else:
            timeline.advance(world, given[0])
        _check(world, intent)


def _check(world: store.World, intent: Json) -> None:
    charge = world.get(ACCOUNT, "charge", intent["latest_charge"])
    sums: collections.Counter[str] = collections.Counter()
    for entry in world.ledger:
        sums[entry["effect"]] += entry.get("amount", 0)
    held = sums["authorized"] + sums["incremented"]
    captured = sums["charged"] + sums["captured"]
    refunded = sums["refunded"] - sums["refund_failed"]
    assert captured == charge["amount_captured"] <= charge["amount"] == intent["amount"]
    assert 0 <= refunded <= captured
    if captured:
        assert refunded == charge["amount_refunded"]
    if held:
        assert captured + sums["released"] + intent["amount_capturable"] <= held
    assert intent["amount_received"] == captured
    ended = intent["status"] in ("succeeded", "canceled")
    assert not ended or intent["amount_capturable"] == 0
