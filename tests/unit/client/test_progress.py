"""How far a subscription has come, from its responses alone."""

from payhub.events.v1 import event_pb2, event_stream_service_pb2

from payhub_client import progress

_Response = event_stream_service_pb2.SubscribeResponse


def _response(*positions: int, cursor: str = "", head: int = 9, live: bool = False) -> _Response:
    """Returns a response with events that were appended a second after each other."""
    response = _Response(cursor=cursor, head_position=head)
    response.phase = _Response.PHASE_LIVE if live else _Response.PHASE_CATCHING_UP
    response.head_time.FromSeconds(head)
    for position in positions:
        event = event_pb2.Event(position=position)
        event.append_time.FromSeconds(position)
        response.events.append(event)
    return response


def test_what_comes_again_is_no_news() -> None:
    """Events at or before the last one received are dropped, and the cursor never goes back."""
    come = progress.Progress(received="c0", dealt_with="c0")
    first = come.accept(_response(3, 4, cursor="c4"))
    again = come.accept(_response(3, 4, 7))
    assert [event.position for event in first.events] == [3, 4]
    assert [event.position for event in again.events] == [7]
    assert (first.cursor, again.cursor, come.received) == ("c4", "c4", "c4")
    assert come.dealt_with == "c0"


def test_the_lag_is_that_of_the_last_response() -> None:
    """In places and seconds behind the head, and none at the head of a quiet log."""
    come = progress.Progress(received="", dealt_with="")
    come.accept(_response())
    assert come.lag == progress.Lag(entries=9, seconds=None, live=False)
    come.accept(_response(4))
    assert come.lag == progress.Lag(entries=5, seconds=5.0, live=False)
    come.accept(_response(live=True))
    assert come.lag == progress.Lag(entries=0, seconds=0.0, live=True)
