"""What a mutant is, and the tools to make one.

Owns the `mutant` decorator and the list of all mutants. Used by the modules
that define mutants; read by `serve` and `runner`. Never patches by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Patch = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """The simulated provider with one rule broken.

    Args:
        name: Name of the function that breaks it.
        checks: Ids of the checks that must fail, each of them.
        control: Ids of checks that must still pass, so that it is known to be broken
            in one place only; None for the usual one.
        text: What it does wrong.
        patch: Breaks it, in the process that is going to serve.
    """

    name: str
    checks: tuple[str, ...]
    control: tuple[str, ...] | None
    text: str
    patch: Patch


_found: dict[str, Mutant] = {}


def mutant(*checks: str, control: tuple[str, ...] | None = None) -> Callable[[Patch], Patch]:
    """Registers a function that breaks what *checks* look at; see Mutant."""

    def register(patch: Patch) -> Patch:
        name = patch.__name__
        assert name not in _found, f"two mutants are called {name}"
        assert checks, f"{name} names no check"
        text = (patch.__doc__ or "").strip()
        assert text, f"{name} does not say what it does wrong"
        _found[name] = Mutant(name=name, checks=checks, control=control, text=text, patch=patch)
        return patch

    return register


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replaces an attribute of a module or class by what *make* makes of it."""
    setattr(owner, name, make(getattr(owner, name)))


def found() -> dict[str, Mutant]:
    """Returns what was registered so far, by name."""
    return dict(_found)
