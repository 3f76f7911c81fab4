"""Failures that are known and tolerated for a while.

Owns the YAML file of expected failures. Read by the command. A waiver keeps a
failure from failing the command; it never makes a report pass.
"""

import datetime
import pathlib
from typing import Annotated

import pydantic
import yaml

FILE_BYTES_MAX = 1_048_576


class WaiversInvalid(Exception):
    """The file can't be used.

    Args:
        problems: Every problem, each with where it is and what to do.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Waiver(pydantic.BaseModel):
    """One known failure.

    Args:
        check: Check id, for example `34` or `4b`.
        reason: Why it is tolerated, best with the address of an issue.
        expires: Last day it is tolerated.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    check: Annotated[str, pydantic.Field(pattern=r"^[0-9]+[a-z]?$")]
    reason: Annotated[str, pydantic.Field(min_length=10, max_length=500)]
    expires: datetime.date

    def has_expired(self, today: datetime.date) -> bool:
        """Whether *today* is past its last day."""
        return today > self.expires


class _File(pydantic.RootModel[list[Waiver]]):
    pass


def load(path: pathlib.Path, known: frozenset[str]) -> dict[str, Waiver]:
    """Reads waivers by check id.

    Args:
        path: YAML list of `check`, `reason`, `expires`.
        known: Ids of all checks.

    Raises:
        WaiversInvalid: With every problem.
    """
    try:
        raw = path.read_bytes()[: FILE_BYTES_MAX + 1]
        document = yaml.safe_load(raw)
    except OSError as failure:
        reason = failure.strerror or "not readable"
        raise WaiversInvalid([f"{path}: can't be read ({reason}); give a readable file"]) from None
    except yaml.YAMLError as failure:
        text = getattr(failure, "problem", None) or "not YAML"
        raise WaiversInvalid([f"{path}: {text}; write a YAML list"]) from None
    try:
        listed = _File.model_validate(document or []).root
    except pydantic.ValidationError as failure:
        problems = [
            f"{path}: {'.'.join(str(part) for part in error['loc']) or '(whole)'}: {error['msg']}"
            for error in failure.errors(include_url=False)
        ]
        raise WaiversInvalid(problems) from None
    unknown = [one.check for one in listed if one.check not in known]
    if unknown:
        raise WaiversInvalid(
            [f"{path}: no check {one}; `--list` names them all" for one in unknown]
        )
    found = {one.check: one for one in listed}
    if len(found) < len(listed):
        raise WaiversInvalid([f"{path}: a check is listed twice; keep one entry for each"])
    return found
