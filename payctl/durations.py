"""Lengths of time as people write and read them: 30m, 6h, 1d.

Owns the conversion. Called by every command that takes or shows one. Never rounds.
"""

import datetime
import re

import typer

_LENGTH = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parsed(text: str) -> datetime.timedelta:
    """Return a length such as 90s, 30m, 6h or 1d.

    Raises typer.BadParameter that says how to write it.
    """
    written = _LENGTH.fullmatch(text.strip().lower())
    if written is None:
        wrong = f"{text!r} is no length of time; write it such as 30m, 6h or 1d"
        raise typer.BadParameter(wrong)
    return datetime.timedelta(seconds=int(written[1]) * _UNITS_S[written[2]])


def show(length_s: int) -> str:
    """Return whole seconds in the largest unit that divides them."""
    unit = next(unit for unit, size_s in _UNITS_S.items() if length_s % size_s == 0)
    return f"{length_s // _UNITS_S[unit]}{unit}"
