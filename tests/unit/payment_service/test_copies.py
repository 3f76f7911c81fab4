"""Copies of frozen values: what `dataclasses.replace` makes, and nothing else."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest

from payment_service.domain import copies, model
from tests.unit.payment_service import build

OPERATION = build.operation(
    model.Kind.SALE,
    failure=model.Failure(kind=model.FailureKind.DECLINED, reason="EXPIRED_CARD"),
)
PAYMENT = build.payment(references=model.References(metadata={"a": "b"}), operations=(OPERATION,))


def test_a_copy_is_the_one_the_library_makes() -> None:
    """A copy equals that of `dataclasses.replace`, and what was copied stays as it was."""
    before = dataclasses.replace(PAYMENT)
    for field_ in dataclasses.fields(model.Payment):
        changes: dict[str, Any] = {field_.name: object()}
        assert copies.replace(PAYMENT, **changes) == dataclasses.replace(PAYMENT, **changes)
    assert copies.replace(OPERATION, version=2, attempts=3) == dataclasses.replace(
        OPERATION, version=2, attempts=3
    )
    assert copies.replace(PAYMENT) == PAYMENT == before
    assert copies.replace(PAYMENT) is not PAYMENT


def test_a_copy_is_as_frozen_as_its_original() -> None:
    """Nobody changes a copy either."""
    copy = copies.replace(PAYMENT, version=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        copy.version = 3  # type: ignore[misc]


def test_what_is_no_field_is_refused() -> None:
    """A name that is no field is refused, as the library does."""
    with pytest.raises(TypeError, match="Payment has no field sum"):
        copies.replace(PAYMENT, sum=1)  # type: ignore[call-arg]


def test_classes_that_make_more_of_their_fields_are_refused() -> None:
    """Without slots, or with work after `__init__`, a copy would not be what the class makes."""

    @dataclass(frozen=True)
    class Loose:
        number: int = 1

    @dataclass(frozen=True, slots=True)
    class Checked:
        number: int = field(default=1)

        def __post_init__(self) -> None:
            assert self.number

    for value in (Loose(), Checked()):
        with pytest.raises(TypeError, match="has no slots, or makes more"):
            copies.replace(value, number=2)
