"""What a consumer writes down of an event, and when that goes again."""

from event_gateway.consumers import journal, place, records


def test_what_was_written_of_an_event_goes_when_it_is_settled() -> None:
    """Its row would stay for ever otherwise; one that was never written needs no statement."""
    noted = journal.Journal(place.Place(0), 0)
    entries = {n: records.Entry(position=n, after=n - 1, key="") for n in (1, 2)}
    noted.retry(entries[1])
    made = noted.take(entries)
    assert ([retry.position for retry in made.retries], made.settled) == ([1], [])
    noted.saved(made)
    for entry in entries.values():
        noted.settle(entry)
    made = noted.take({})
    assert (made.retries, made.settled, made.floor) == ([], [1], 2)
