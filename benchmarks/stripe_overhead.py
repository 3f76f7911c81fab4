"""What service and sidecar add to a call of Stripe's SDK.

Owns `provider_stripe_overhead_ms_*`. Both sides confirm the same payment before the same
double of Stripe, one caller at a time: through Payhub with everything on, and with the bare
SDK. They take turns; medians are compared.
"""

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

from benchmarks import report, running
from deploy import stack
from tests.stripe_double import store

ROUNDS = 3
LOAD_GRACE_S = 60
METHOD = "pm_card_visa"
NAME = "provider_stripe_overhead_ms_p50"


def measure(board: report.Board, seconds: float) -> None:
    """Measures both databases."""
    for database in running.DATABASES:
        name = NAME if database == "sqlite" else f"{NAME}_{database}"
        if board.wants(name):
            _measure(board, database, name, seconds)


def _measure(board: report.Board, database: str, name: str, seconds: float) -> None:
    port = stack.free_ports()[stack.MOCK]
    secrets = {"stripe": {"api_key": store.DEFAULT_KEY, "webhook_secret": "whsec_of_the_bench"}}
    env = {"PAYMENT_SERVICE_PROVIDER_SECRETS": json.dumps(secrets)}
    sidecar = {
        "PROVIDER_STRIPE_GRPC_PORT": str(port.grpc),
        "PROVIDER_STRIPE_HTTP_PORT": str(port.http),
    }
    target = f"127.0.0.1:{port.grpc}"
    with (
        _double() as address,
        running.payhub(database, env=env, providers={"stripe": target}) as payhub,
        running.provider(
            "provider_stripe",
            payhub,
            sidecar | {"PROVIDER_STRIPE_API_BASE": address},
            http_port=port.http,
        ),
    ):
        service, key = payhub.target(stack.PAYMENTS), payhub.dev_key()
        running.until_taken(service, key, provider="stripe", method=METHOD)
        own: list[dict[str, float]] = []
        bare: list[dict[str, float]] = []
        for number in range(ROUNDS):
            board.progress(f"provider_stripe_overhead {database}: round {number + 1}")
            bare.append(_bare_load(address, seconds))
            own.append(
                running.load(
                    service, key, callers=1, seconds=seconds, provider="stripe", method=METHOD
                )
            )
    if failed := sum(one["failed"] for one in (*own, *bare)):
        raise SystemExit(f"{failed:g} payments were not confirmed")
    own_ms, bare_ms = (statistics.median(one["p50_ms"] for one in side) for side in (own, bare))
    board.figure(name, own_ms - bare_ms)
    board.note(f"stripe_sdk_p50_ms_beside_{database}", bare_ms)


def _bare_load(address: str, seconds: float) -> dict[str, float]:
    process = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.stripe_load", "--address", address),
            *("--seconds", str(seconds), "--method", METHOD),
        ],
        cwd=stack.ROOT, capture_output=True, text=True, check=True,
        timeout=seconds + LOAD_GRACE_S,
    )  # fmt: skip
    found: dict[str, float] = json.loads(process.stdout)
    return found


@contextlib.contextmanager
def _double() -> Iterator[str]:
    """Runs the double; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stripe_double"],
        cwd=stack.ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout, contextlib.ExitStack() as cleanup:
        cleanup.callback(process.wait)
        cleanup.callback(process.terminate)
        yield process.stdout.readline().strip()
