"""A ledger of before there were operations other than payments'."""

import pathlib

from provider_mock import oracle, schema
from servicekit import storage


async def test_an_older_ledger_is_taken_over_with_what_it_holds(tmp_path: pathlib.Path) -> None:
    """Operations stay, and kinds that it refused can be recorded."""
    path = tmp_path / "ledger.db"
    database = await storage.open_database(f"sqlite:///{path}")
    old = schema.TABLES[0].sqlite.replace(
        "kind text not null", "kind text not null check (kind in ('SALE', 'REFUND'))"
    )
    row = schema.OperationRow(
        operation_id="op_1",
        binding_id="b",
        kind="SALE",
        fingerprint="f",
        state="DECLINED",
        reference="pay_1",
        object_id="",
        provider_operation_id="mop_1",
        target_id="",
        amount_minor=1,
        echo_minor=1,
        currency="EUR",
        final=0,
        decline_reason=1,
        due_us=None,
        due_state="",
        due_reason=0,
        action_token=None,
        action_expire_us=0,
        details="",
        state_us=1,
        created_us=1,
    )

    def before(conn: storage.Connection) -> None:
        conn.run(storage.Statement(old))
        for statement in schema.TABLES[1:]:
            conn.run(statement)
        conn.run(schema.INSERT_OPERATION, row._asdict())

    def after(conn: storage.Connection) -> None:
        schema.modernize(conn)
        for statement in schema.TABLES:
            conn.run(statement)
        newer = row._replace(operation_id="op_2", kind="CREATE_PLAN")
        assert conn.run(schema.INSERT_OPERATION, newer._asdict()) == 1
        schema.modernize(conn)

    await database.write(before)
    await database.write(after)
    await database.close()
    listed = oracle.read(path, operations=True)["operations"]
    assert [(one["operation_id"], one["kind"]) for one in listed] == [
        ("op_1", "SALE"),
        ("op_2", "CREATE_PLAN"),
    ]
