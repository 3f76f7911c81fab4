"""What a subscriber says when it can't go on.

Owns what an operator is told to do about each way that the gateway refuses one for good. Called by
the subscribers around their work. Never decides when that is: `payhub_client` does.
"""

import contextlib
from collections.abc import Iterator, Mapping

from payhub_client import errors
from servicekit import server

_ADVICE: Mapping[type[errors.PayhubError], str] = {
    errors.Unauthenticated: "give it an API key that is in force",
    errors.PermissionDenied: "give it an API key with what is missing",
    errors.NotFound: "the consumer was deleted, or the gateway's log is another one; started again,"
    " this process makes it anew",
    errors.Internal: "a bug of the gateway, whose log has a line about that request",
}


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Have the process end with one line that says why and what to do.

    Raises:
        server.CannotGoOn: The client raised what coming back would not cure.
    """
    try:
        yield
    except errors.PayhubError as failure:
        advice = (text for kind, text in _ADVICE.items() if isinstance(failure, kind))
        raise server.CannotGoOn(str(failure), advice=next(advice, "")) from failure
