"""Runs what comes due in the double's time.

Owns the table of timers by kind. Called by server after each request and by the control API
when it advances the clock.
"""

from collections.abc import Callable

from tests.stripe_double import (
    completing,
    disputes,
    invoicing,
    payments,
    refunds,
    store,
    subscribing,
)

Timer = Callable[..., None]

TIMERS: dict[str, Timer] = {
    **payments.TIMERS,
    **refunds.TIMERS,
    **disputes.TIMERS,
    **invoicing.TIMERS,
    **subscribing.TIMERS,
    **completing.TIMERS,
}
# More than any test needs; a renewal that never ends should fail loudly.
STEPS_MAX = 100_000


def run(world: store.World) -> int:
    """Runs all timers that are due, earliest first, and returns how many."""
    until_s = world.clock.exact_s()
    steps = 0
    try:
        while (timer := world.clock.pop_due(until_s)) is not None:
            more = {name: timer[name] for name in timer if name not in _OWN}
            with world.caused_by(store.Cause()):
                TIMERS[timer["kind"]](world, timer["account"], timer["id"], **more)
            world.changes += 1
            steps += 1
            if steps > STEPS_MAX:
                raise RuntimeError(f"more than {STEPS_MAX} timers came due at once")
    finally:
        world.clock.release()
    return steps


def advance(world: store.World, seconds: float) -> int:
    """Moves the clock forward and runs what comes due on the way."""
    world.clock.offset_s += seconds
    return run(world)


_OWN = {"due_s", "kind", "account", "id"}
