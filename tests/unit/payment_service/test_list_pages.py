"""Pages of lists: of so many messages, and of no more bytes than a client takes."""

from dataclasses import dataclass

from google.protobuf import wrappers_pb2
from payhub.payments.v1 import payment_service_pb2 as pb

from payment_service.api import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One with a message of so many bytes."""

    id: str
    size: int


def page(sizes: list[int], page_size: int) -> tuple[list[int], str]:
    """Returns the sizes of the messages of a page, and the row after which the next begins."""
    request = pb.ListPaymentsRequest(page_size=page_size)
    rows = [Row(id=f"row{number}", size=size) for number, size in enumerate(sizes)]
    shown, request.page_token = reading.page(
        request, rows, lambda row: wrappers_pb2.BytesValue(value=bytes(row.size))
    )
    return [len(one.value) for one in shown], (reading.page_start(request, str) or ("",))[0]


def test_a_page_ends_before_it_is_too_large() -> None:
    """It holds fewer messages than asked for, and says that others follow its last."""
    large = [1_000_000] * 5
    assert page(large, 200) == (large[:3], "row2")
    assert page(large[3:], 200) == (large[3:], "")


def test_a_message_that_is_too_large_alone_is_shown() -> None:
    """Otherwise nobody would get past it."""
    assert page([reading.PAGE_BYTES_MAX, 10], 200) == ([reading.PAGE_BYTES_MAX], "row0")


def test_a_page_has_as_many_messages_as_asked_for() -> None:
    """One row more than that says that others follow."""
    assert page([], 2) == ([], "")
    assert page([1, 2], 2) == ([1, 2], "")
    assert page([1, 2, 3], 2) == ([1, 2], "row1")
