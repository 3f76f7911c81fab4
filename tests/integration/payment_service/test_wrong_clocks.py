"""Replicas on machines whose clocks are minutes apart: core has one time, the database's."""

import asyncio
import os
import pathlib
import subprocess
import time
from collections.abc import Callable

import pytest

from deploy import stack
from payment_service.domain import model, outcomes
from servicekit import encryption_keys
from tests.integration.payment_service import conftest, inside, records, rig

OFF_S = 300
_WRONG = "import time\nright = time.time_ns\ntime.time_ns = lambda: right() + {off_ns}\n"


@pytest.mark.parametrize("off_s", [OFF_S, -OFF_S])
async def test_a_replica_with_a_wrong_clock_takes_part(
    new_postgres_database: Callable[[], str],
    tmp_path: pathlib.Path,
    bank: stack.Stack,
    monkeypatch: pytest.MonkeyPatch,
    off_s: int,
) -> None:
    """Ahead, it would call "never arrived" what is about to be sent, and the payer would be
    asked again; behind, all it sends would be too late, and too early what it sends again.
    """
    url, log_url, key = new_postgres_database(), new_postgres_database(), encryption_keys.new_key()
    (tmp_path / "sitecustomize.py").write_text(_WRONG.format(off_ns=off_s * 10**9))
    env = conftest.RESOLVER | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "PAYMENT_SERVICE_ENCRYPTION_KEYS": key,
        "PAYMENT_SERVICE_RELAY_ENABLED": "true",
        "EVENT_GATEWAY_AUTO_MIGRATE": "true",
        "PAYMENT_SERVICE_PROVIDERS": f'{{"mock": "{bank.target(stack.MOCK)}"}}',
        "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": str(conftest.HASTY_TIMEOUT_S),
    }
    databases = {stack.PAYMENTS: url, stack.GATEWAY: log_url}
    wrong = stack.Stack(tmp_path, env=env, databases=databases, names=databases)
    # A process of its own from the start: one that is forked has its clock by then.
    monkeypatch.setattr(stack, "popen", subprocess.Popen)
    sent, arrives = asyncio.Event(), asyncio.Event()
    with wrong:
        async with (
            inside.running(
                url, bank.target(stack.MOCK), encryption_keys=key, provider_timeout_s=60.0
            ) as right,
            rig.Caller(wrong.target(stack.PAYMENTS), wrong.dev_key(), "default") as other,
        ):
            await inside.connected(right)
            provider = right.parts.ctx.providers.find("mock")
            assert provider is not None
            execute = provider.execute

            async def late(operation: model.Operation) -> outcomes.Report:
                sent.set()
                await arrives.wait()
                return await execute(operation)

            monkeypatch.setattr(provider, "execute", late)
            creating = asyncio.create_task(right.caller.create(timeout_s=60.0))
            await sent.wait()
            doubt = await other.create("tok_no_answer")
            # By then it has taken whatever it held to be due before.
            await other.becomes(doubt.id, "SUCCEEDED")
            rows = records.Records(url)
            looks = rows.rows(
                "select attempts from operations where tenant_id = ?", right.caller.tenant
            )
            rows.close()
            arrives.set()
            paid = await creating
            log = records.Records(log_url)

            async def accepted() -> list[tuple[int]]:
                return log.rows("select head_append_us from log_head where head > 0")

            ((accepted_us,),) = await rig.until(accepted)
            log.close()
    assert abs(accepted_us / 1e6 - time.time()) < OFF_S / 2
    assert (looks, rig.state(paid)) == ([(1,)], "SUCCEEDED")
