"""The sums of one payment and what may be done to them.

Owns the arithmetic of authorizations, captures, releases and refunds. Called by
the ledger inside a transaction. Never does I/O; the table's CHECK constraints
hold the same ceilings once more.
"""

from dataclasses import dataclass, replace

from provider_sdk import errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Amounts of one payment, minor units. `…ing_minor` are reserved for pending work.

    Args:
        authorized_minor: Held for the merchant at most.
        capturing_minor: In captures not settled yet.
        captured_minor: Taken.
        releasing_minor: In voids not settled yet.
        released_minor: Given back without being taken.
        refunding_minor: In refunds not settled yet.
        refunded_minor: Given back after being taken.
        closed: Nothing more will be captured.
    """

    authorized_minor: int = 0
    capturing_minor: int = 0
    captured_minor: int = 0
    releasing_minor: int = 0
    released_minor: int = 0
    refunding_minor: int = 0
    refunded_minor: int = 0
    closed: bool = False

    @property
    def capturable_minor(self) -> int:
        """What is neither taken, given back, nor about to be."""
        taken = self.capturing_minor + self.captured_minor
        return self.authorized_minor - taken - self.releasing_minor - self.released_minor

    @property
    def refundable_minor(self) -> int:
        """What is taken and neither given back nor about to be."""
        return self.captured_minor - self.refunding_minor - self.refunded_minor


def authorize(sums: Sums, amount_minor: int, *, sale: bool) -> Sums:
    """The authorization took effect; a sale is captured at once."""
    if sums.closed:
        raise AssertionError("a voided authorization can't take effect")
    return replace(
        sums,
        authorized_minor=amount_minor,
        captured_minor=amount_minor if sale else 0,
        closed=sale,
    )


def require_increment(sums: Sums, amount_minor: int, total_minor: int) -> Sums:
    """Checks that an authorization may be raised; nothing is set aside for it.

    Raises:
        StateConflict: It is not authorized, or captured or released already.
        InvalidRequest: The total is not what there would be.
    """
    begun = sums.capturing_minor or sums.captured_minor or sums.releasing_minor
    if sums.closed or begun or not sums.authorized_minor:
        raise errors.StateConflict("only an authorization that holds everything can be raised")
    if total_minor != sums.authorized_minor + amount_minor:
        text = f"{sums.authorized_minor} is authorized and {amount_minor} would be added"
        raise errors.InvalidRequest(text, [("total.amount_minor", text)])
    return sums


def increment(sums: Sums, amount_minor: int) -> Sums:
    """The authorization was raised; what is closed meanwhile gives it back at once."""
    raised = replace(sums, authorized_minor=sums.authorized_minor + amount_minor)
    return close(raised) if raised.closed else raised


def reserve_capture(sums: Sums, amount_minor: int) -> Sums:
    """Sets an amount aside for a capture.

    Raises:
        StateConflict: That much can't be captured (any more).
    """
    if sums.closed or amount_minor > sums.capturable_minor:
        left_minor = 0 if sums.closed else sums.capturable_minor
        raise errors.StateConflict(f"{left_minor} of {sums.authorized_minor} can be captured")
    return replace(sums, capturing_minor=sums.capturing_minor + amount_minor)


def settle_capture(sums: Sums, amount_minor: int, *, final: bool) -> Sums:
    """The reserved capture took effect; a final one releases the remainder."""
    sums = replace(
        sums,
        capturing_minor=sums.capturing_minor - amount_minor,
        captured_minor=sums.captured_minor + amount_minor,
    )
    return close(sums) if final else sums


def drop_capture(sums: Sums, amount_minor: int) -> Sums:
    """The reserved capture did not take effect."""
    sums = replace(sums, capturing_minor=sums.capturing_minor - amount_minor)
    return close(sums) if sums.closed else sums


def close(sums: Sums) -> Sums:
    """Gives back what is left: nothing more will be captured."""
    return replace(sums, released_minor=sums.released_minor + sums.capturable_minor, closed=True)


def reserve_void(sums: Sums) -> Sums:
    """Sets what is left aside for a void.

    Raises:
        StateConflict: Everything is captured: there is nothing to give back.
    """
    taken_minor = sums.captured_minor + sums.capturing_minor
    if taken_minor and not sums.capturable_minor and not sums.released_minor:
        raise errors.StateConflict("everything is captured; refund it instead")
    return replace(sums, releasing_minor=sums.releasing_minor + sums.capturable_minor)


def settle_void(sums: Sums, amount_minor: int) -> Sums:
    """The reserved void took effect."""
    sums = replace(sums, releasing_minor=sums.releasing_minor - amount_minor)
    return close(sums)


def drop_void(sums: Sums, amount_minor: int) -> Sums:
    """The reserved void did not take effect."""
    sums = replace(sums, releasing_minor=sums.releasing_minor - amount_minor)
    return close(sums) if sums.closed else sums


def reserve_refund(sums: Sums, amount_minor: int) -> Sums:
    """Sets an amount aside for a refund.

    Raises:
        StateConflict: That much can't be given back (any more).
    """
    if amount_minor > sums.refundable_minor:
        raise errors.StateConflict(
            f"{sums.refundable_minor} of {sums.captured_minor} captured can be refunded"
        )
    return replace(sums, refunding_minor=sums.refunding_minor + amount_minor)


def settle_refund(sums: Sums, amount_minor: int) -> Sums:
    """The reserved refund took effect."""
    return replace(
        sums,
        refunding_minor=sums.refunding_minor - amount_minor,
        refunded_minor=sums.refunded_minor + amount_minor,
    )


def drop_refund(sums: Sums, amount_minor: int) -> Sums:
    """The reserved refund did not take effect."""
    return replace(sums, refunding_minor=sums.refunding_minor - amount_minor)
