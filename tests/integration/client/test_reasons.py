"""Reasons of errors: what the services' code gives, against the contract."""

import ast
import pathlib

from payhub.type.v1 import error_reason_pb2

ROOT = pathlib.Path(__file__).parents[3]
PREFIX = "ERROR_REASON_"


def test_every_reason_that_a_service_gives_is_in_the_contract() -> None:
    """Whoever reads the reason of an error finds there what it means."""
    given = {
        call.args[1].value
        for package in ("servicekit", "payment_service", "event_gateway")
        for path in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).endswith("RpcError")
        and len(call.args) > 1
        and isinstance(call.args[1], ast.Constant)
    }
    assert len(given) > 20
    assert given <= {name.removeprefix(PREFIX) for name, _ in error_reason_pb2.ErrorReason.items()}
