"""What commands on bindings are given: configurations, secrets, limits and switches.

Owns reading them. Called by the commands that change bindings. Secrets come from files, the
environment or stdin, never from the command line, where other users of the machine see them.
"""

import datetime
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import typer
from payhub.payments.v1 import payment_pb2
from payhub.plugin.v1 import binding_pb2

from payctl import money, session
from payhub_client import bindings as client_bindings

CONFIG_BYTES_MAX = 262_144
SECRET_BYTES_MAX = 65_536
STDIN = "-"

_LIMIT = re.compile(r"(?P<currency>[A-Za-z]{3})(?P<rest>(\s+\w+=[0-9.]+)+|\s+none)")


def read_config(text: str | None, file: str | None) -> str | None:
    """Return a configuration given as text or file, None if neither is.

    Raises typer.BadParameter for both, for a file that can't be read, and for what is no JSON
    object.
    """
    if text is not None and file is not None:
        raise typer.BadParameter("give --config or --config-file, not both")
    if file is not None:
        text = read(file, CONFIG_BYTES_MAX).decode("utf-8", "replace")
    if text is None:
        return None
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise typer.BadParameter(f"the configuration is not JSON: {error.msg} at {where}") from None
    if not isinstance(content, dict):
        raise typer.BadParameter("the configuration must be a JSON object")
    return text


def read_secrets(
    files: list[str] | None, variables: list[str] | None, *, keep_old_h: float = 0.0
) -> list[client_bindings.Secret]:
    """Return secrets from files and environment variables; a last line break is cut off.

    Raises typer.BadParameter for what can't be read, naming slot and place, never a value.
    """
    found: dict[str, bytes] = {}
    for slot, place in session.pairs(files).items():
        found[slot] = read(place, SECRET_BYTES_MAX)
    for slot, variable in session.pairs(variables).items():
        if slot in found:
            raise typer.BadParameter(f"secret {slot!r} is given twice")
        if not os.environ.get(variable):
            raise typer.BadParameter(f"secret {slot!r}: the variable {variable} is not set")
        found[slot] = os.environ[variable].encode()
    until = None
    if keep_old_h:
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=keep_old_h)
    secrets = []
    for slot, value in found.items():
        cut = value.removesuffix(b"\n").removesuffix(b"\r")
        if not cut:
            raise typer.BadParameter(f"secret {slot!r} is empty")
        secrets.append(client_bindings.Secret(slot=slot, value=cut, previous_until=until))
    return secrets


def read(place: str, bytes_max: int) -> bytes:
    """Return what a file or stdin (`-`) holds. Raises typer.BadParameter."""
    try:
        if place == STDIN:
            content = sys.stdin.buffer.read(bytes_max + 1)
        else:
            with Path(place).open("rb") as file:
                content = file.read(bytes_max + 1)
    except OSError as error:
        raise typer.BadParameter(f"{place} can't be read: {error.strerror}") from None
    if len(content) > bytes_max:
        raise typer.BadParameter(f"{place} holds more than {bytes_max} bytes")
    return content


def changed_options(
    now: binding_pb2.BindingOptions | None,
    *,
    limit: list[str] | None,
    zone: str | None,
    off: list[str] | None,
    on: list[str] | None,
    disabled: bool | None,
) -> binding_pb2.BindingOptions:
    """Return options after a change of what is given. Raises typer.BadParameter."""
    options = binding_pb2.BindingOptions()
    if now is not None:
        options.CopyFrom(now)
    limits = {each.currency_code: each for each in options.limits}
    for text in limit or []:
        parsed = _limit(text)
        limits[parsed.currency_code] = parsed
    kept = [limits[code] for code in sorted(limits) if _any(limits[code])]
    del options.limits[:]
    options.limits.extend(kept)
    if zone is not None:
        options.time_zone = "" if zone.upper() == "UTC" else zone
    for names, is_off in ((off, True), (on, False)):
        for name in names or []:
            _switch(options, name, off=is_off)
    if disabled is not None:
        options.disabled = disabled
    return options


def _any(limits: binding_pb2.CurrencyLimit) -> bool:
    return bool(limits.min_minor or limits.max_minor or limits.daily_minor)


def _limit(text: str) -> binding_pb2.CurrencyLimit:
    written = _LIMIT.fullmatch(text.strip())
    if written is None:
        raise typer.BadParameter(
            f"{text!r} is no limit; write it such as 'EUR min=1.00 max=500 daily=10000'"
        )
    made = binding_pb2.CurrencyLimit(currency_code=written["currency"].upper())
    if written["rest"].strip() == "none":
        return made
    for name, amount in session.pairs(written["rest"].split()).items():
        if name not in ("min", "max", "daily"):
            raise typer.BadParameter(f"{name!r} is no limit; limits are min, max and daily")
        try:
            setattr(made, f"{name}_minor", money.parse(amount, made.currency_code))
        except money.MoneyError as error:
            raise typer.BadParameter(str(error)) from None
    return made


def _switch(options: binding_pb2.BindingOptions, name: str, *, off: bool) -> None:
    word = name.lower().replace("-", "_")
    listed: Any = options.disabled_operations
    try:
        if word.endswith("_capture"):
            listed = options.disabled_capture_methods
            method = word.removesuffix("_capture").upper()
            value: int = payment_pb2.CaptureMethod.Value(f"CAPTURE_METHOD_{method}")
        else:
            value = payment_pb2.Operation.Kind.Value(f"KIND_{word.upper()}")
    except ValueError:
        kinds = payment_pb2.Operation.DESCRIPTOR.enum_types_by_name["Kind"].values
        names = [each.name.removeprefix("KIND_").lower() for each in kinds]
        known = ", ".join([*names[1:], "manual-capture", "automatic-capture"])
        raise typer.BadParameter(f"{name!r} is no operation; known are {known}") from None
    if off and value not in listed:
        listed.append(value)
    elif not off and value in listed:
        listed.remove(value)
