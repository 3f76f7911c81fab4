"""A plugin in a process of its own that dies in the middle of every payment.

Owns nothing else. Run as `python -m tests.integration.payment_service.crashing <plugin id>
<version> <port>`; prints `ready <port> <instance id>`, and ends by SIGKILL.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from payhub.provider.v1 import payment_provider_service_pb2 as provider_pb

from deploy import stack
from tests.integration.payment_service import sidecars

START_TIMEOUT_S = 20.0


class Crashing(sidecars.Sidecar):
    """Kills its process when it should take money."""

    async def AuthorizePayment(
        self, request: provider_pb.AuthorizePaymentRequest, context: Any
    ) -> provider_pb.AuthorizePaymentResponse:
        """Dies."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("SIGKILL came back")


@contextlib.asynccontextmanager
async def process(
    plugin_id: str, version: str, port: int
) -> AsyncIterator[tuple[sidecars.Sidecar, asyncio.subprocess.Process]]:
    """Runs one; yields what it says of itself, as a sidecar that is not started, and it."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, plugin_id, version, str(port),
        cwd=stack.ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        line = await asyncio.wait_for(child.stdout.readline(), START_TIMEOUT_S)
        _, bound, instance_id = line.decode().split()
        told = Crashing(plugin_id, version)
        told.handshake.identity.instance_id = instance_id
        told.target = f"127.0.0.1:{bound}"
        yield told, child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _serve(plugin_id: str, version: str, port: int) -> None:
    async with Crashing(plugin_id, version) as made:
        if port:
            await made.stop()
            await made.start(port)
        instance_id = made.handshake.identity.instance_id
        sys.stdout.write(f"ready {made.target.rpartition(':')[2]} {instance_id}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
