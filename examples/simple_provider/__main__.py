"""Vouchers: a provider with its own books, in one SQLite file.

Owns the books. Called by core through `provider_sdk`, which has checked message,
binding, capabilities and fence. Never answers before what it says is on disk.
"""

import pathlib
import sqlite3
import sys

import pydantic
import pydantic_settings
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.type.v1 import money_pb2

from provider_sdk import errors, fingerprint, provider, serve
from servicekit import settings

Operation = operation_pb2.Operation
TABLE = """create table if not exists operations (operation_id text primary key,
    binding_id text, fingerprint text, answer blob, payment_id text, amount_minor integer)"""
FIND = "select binding_id, fingerprint, answer from operations where operation_id = ?"
LEFT = "select sum(amount_minor) from operations where payment_id = ?"


class Settings(settings.ServiceSettings):
    """Environment variables that start with VOUCHERS_."""

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="VOUCHERS_")
    grpc_port: settings.Port = 50_063
    books: pathlib.Path = pathlib.Path("var/vouchers.db")


class Config(pydantic.BaseModel):
    """What an operator configures for each merchant."""

    model_config = pydantic.ConfigDict(extra="forbid")
    shop: str = pydantic.Field(default="main", min_length=1, max_length=64)


Call = provider.Call[Config]


class Vouchers(provider.Provider[Config]):
    """Takes `voucher_...`, declines `voucher_empty`, refunds what was paid."""

    plugin_id, plugin_version, name = "vouchers", "1.0.0", "Vouchers"
    config_model = Config
    currencies = frozenset({"EUR", "USD"})
    capabilities = frozenset(
        {
            capability_pb2.CAPABILITY_SALE,
            capability_pb2.CAPABILITY_REFUND,
            capability_pb2.CAPABILITY_PARTIAL_REFUND,
            capability_pb2.CAPABILITY_OPERATION_LOOKUP,
        }
    )

    def __init__(self, books: pathlib.Path) -> None:
        books.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(books)
        self._db.execute(TABLE)

    async def authorize(self, request: pps.AuthorizePaymentRequest, call: Call) -> Operation:
        """Sells; an authorization without capture isn't declared and never gets here."""
        token = request.payment_method
        answer = Operation(state=Operation.STATE_SUCCEEDED, provider_object_id=call.operation_id)
        if token == "voucher_empty" or not token.startswith("voucher_"):
            answer = Operation(state=Operation.STATE_DECLINED)
            answer.decline.reason = operation_pb2.DECLINE_REASON_INSUFFICIENT_FUNDS
            answer.decline.provider_code = "nothing_left"
        return self._book(request, call, answer, sign=1)

    async def refund(self, request: pps.RefundPaymentRequest, call: Call) -> Operation:
        """Gives back what was paid, or a part of it."""
        payment_id = request.provider_payment_id
        answer = Operation(state=Operation.STATE_SUCCEEDED, provider_object_id=payment_id)
        return self._book(request, call, answer, sign=-1)

    async def get_operation(
        self, operation_id: str, binding: provider.Binding[Config], *, timeout_s: float
    ) -> Operation:
        """Finds it in the books; what is not there did not happen."""
        row = self._db.execute(FIND, (operation_id,)).fetchone()
        if row is None or row[0] != binding.binding_id:
            raise errors.NotFound(f"no operation {operation_id[:64]}")
        return Operation.FromString(row[2])

    def _book(
        self,
        request: pps.AuthorizePaymentRequest | pps.RefundPaymentRequest,
        call: Call,
        answer: Operation,
        *,
        sign: int,
    ) -> Operation:
        """Writes an operation in one transaction; a repeat gets the first one's answer."""
        same = (call.binding.binding_id, fingerprint.of(request))
        with self._db:
            # Before anything is read: during an upgrade another process has the same books.
            self._db.execute("begin immediate")
            row = self._db.execute(FIND, (call.operation_id,)).fetchone()
            if row is not None:
                if row[:2] != same:
                    raise errors.Mismatch("the operation id was used with other parameters")
                return Operation.FromString(row[2])
            if sign < 0:
                self._require_paid(answer.provider_object_id, request.amount, same[0])
            call.ensure_in_time()
            answer.operation_id = call.operation_id
            answer.amount.CopyFrom(request.amount)
            answer.state_time.FromMicroseconds(call.now_us())
            sign *= answer.state == Operation.STATE_SUCCEEDED
            row = (call.operation_id, *same, answer.SerializeToString())
            row += (answer.provider_object_id, sign * request.amount.amount_minor)
            self._db.execute("insert into operations values (?, ?, ?, ?, ?, ?)", row)
        return answer

    def _require_paid(self, payment_id: str, amount: money_pb2.Money, binding_id: str) -> None:
        sale = self._db.execute(FIND, (payment_id,)).fetchone()
        if sale is None or sale[0] != binding_id:
            raise errors.NotFound(f"no payment {payment_id[:64]}")
        left_minor = self._db.execute(LEFT, (payment_id,)).fetchone()[0] or 0
        currency = Operation.FromString(sale[2]).amount.currency_code
        if amount.amount_minor > left_minor or amount.currency_code != currency:
            raise errors.StateConflict(f"{left_minor} minor units of {currency} are left")


if __name__ == "__main__":
    config = settings.load(Settings)
    sys.exit(serve.serve(Vouchers(config.books), config, service_name="vouchers"))
