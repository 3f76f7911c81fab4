"""Leases of a consumer, by themselves."""

from event_gateway.consumers import leases, policy


def test_a_lease_that_is_held_for_long_keeps_no_memory_of_others() -> None:
    """Those that were given and settled since are forgotten, and the ones that are held still end
    in the order of their ends.
    """
    given = leases.Leases("x")
    long = given.give(1, 1, 43_200_000_000)
    longer = given.give(2, 1, 50_000_000_000)
    for position in range(3, 3 * leases.OUTLIVED_MAX):
        swift = given.give(position, 1, 43_200_000_000 + position)
        given.end(swift, policy.Verdict.ACK)
    assert len(given._deadlines) <= leases.OUTLIVED_MAX + 6
    given.move(long, 60_000_000_000)
    assert given.due(49_999_999_999) is None
    assert given.due(50_000_000_000) is longer
    given.end(longer, None)
    assert given.next_us() == 60_000_000_000
    assert given.due(60_000_000_000) is long
