"""Checks 24 to 27: what becomes of secrets.

Owns the search for leaks, rotation, credential checks and expiry. Collected by
`catalog`.
"""

import asyncio
import contextlib
import time
import urllib.error
import urllib.request

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import canaries, checks, refusal
from provider_sdk.conformance import profile as profiles
from provider_sdk.conformance import run as runs

METRICS_BYTES_MAX = 16 * 1024 * 1024
WORKERS = 4
SOON_S = 3_600
FAR_S = 48 * 3_600

_ERROR = ps.Diagnostic.SEVERITY_ERROR
_FIX = "mask fields marked sensitive, and never put a value of a request into a text"


@checks.check(
    number=24,
    part="a",
    title="No secret appears in an answer or a status during the whole run.",
    phase=checks.Phase.LAST,
)
async def nothing_on_the_wire(run: runs.Run) -> None:
    """Provokes errors around secrets, and looks at all that was ever answered."""
    await _provoke(run)
    _judge(run, canaries.Where.WIRE)


@checks.check(
    number=24,
    part="b",
    title="No secret appears in a log line or a metric during the whole run.",
    needs_process=True,
    phase=checks.Phase.LAST,
)
async def nothing_in_logs(run: runs.Run) -> None:
    """Provokes errors around secrets, and reads all logs and metrics."""
    await _provoke(run)
    for one in run.siblings():
        for line in one.log_lines():
            run.canaries.inspect(line, place="a log line", where=canaries.Where.LOG)
        if one.profile.metrics_url:
            shown = await asyncio.to_thread(_metrics, one.profile.metrics_url)
            run.canaries.inspect(shown, place="the metrics", where=canaries.Where.METRICS)
    _judge(run, canaries.Where.LOG, canaries.Where.METRICS)


def _judge(run: runs.Run, *where: canaries.Where) -> None:
    if not run.canaries.watched:
        raise checks.NotProven("the provider takes no secrets", cause=checks.Cause.CAPABILITY)
    leaks = run.canaries.leaks(*where)
    if leaks:
        raise checks.Failed("; ".join(leaks[:10]), fix=_FIX)


async def _provoke(run: runs.Run) -> None:
    """Makes the provider complain with secrets at hand, in every way that needs no luck."""
    binding = await run.new_binding()
    unknown = {**run.secrets, "conformance_unknown": run.canaries.new("conformance_unknown")}
    odd = {slot: b"\xff\xfe" + run.canaries.new(slot) for slot in run.secrets}
    bad = "no_such_payment"
    for attempt in (
        binding.validate("{broken"),
        binding.validate(secrets=unknown),
        binding.validate(secrets=odd),
        binding.configure(generation=2, config="{broken"),
        binding.configure(generation=2, secrets=unknown),
        binding.configure(generation=2, secrets=odd),
        binding.authorize(),
        binding.authorize(amount_minor=-1),
        run.call(run.provider.CapturePayment, binding.capturing(bad)),
        run.call(run.provider.RefundPayment, binding.refunding(bad)),
    ):
        with contextlib.suppress(refusal.Refused):
            await attempt


def _metrics(url: str) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise checks.NotProven(
            f"metrics_url {url[:80]!r} is no HTTP address; correct the profile",
            cause=checks.Cause.PROFILE,
        )
    try:
        with urllib.request.urlopen(url, timeout=5.0) as answer:
            return bytes(answer.read(METRICS_BYTES_MAX))
    except (urllib.error.URLError, TimeoutError) as failure:
        raise checks.NotProven(
            f"no metrics at {url[:80]}; correct `metrics_url` of the profile",
            cause=checks.Cause.PROFILE,
        ) from failure


@checks.check(
    number=25,
    part="a",
    title="A rotation with two versions of a secret under load lets no call fail.",
    needs=(capability_pb2.CAPABILITY_OVERLAPPING_SECRETS,),
)
async def rotation_is_seamless(run: runs.Run) -> None:
    """Goes from the old secrets to both, then to the new ones alone, while payments run."""
    binding = await run.new_binding()
    fresh = dict(run.secrets)
    fresh |= profiles.values(
        {slot: one for slot, one in run.profile.secrets.items() if one.canary}, run.canaries
    )
    over = asyncio.Event()

    async def work() -> None:
        while not over.is_set():
            try:
                await binding.authorize()
            except refusal.Refused as refused:
                raise checks.Failed(
                    f"a payment failed during the rotation: {refused.shown()}",
                    fix="let running calls keep the secrets they started with",
                ) from refused

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())
        both = binding.sent()
        both.secrets.extend(binding.sent(secrets=fresh, version=2).secrets)
        await asyncio.sleep(0.1)
        await _configure(binding, generation=2, config=both)
        await asyncio.sleep(0.1)
        alone = binding.sent(secrets=fresh, version=2)
        await _configure(binding, generation=3, config=alone)
        await asyncio.sleep(0.1)
        over.set()


async def _configure(
    binding: bindings.Binding, *, generation: int, config: ps.BindingConfig
) -> None:
    run = binding.run
    request = ps.ConfigureRequest(
        binding_id=binding.binding_id, generation=generation, config=config
    )
    try:
        await run.call(run.plugin.Configure, request, timeout_s=15.0)
    except refusal.Refused as refused:
        raise checks.Failed(
            f"generation {generation} of a rotation is refused: {refused.shown()}",
            rule="During a rotation a slot may appear twice; the highest version is used.",
            fix="take several versions of one slot and use the highest",
        ) from refused


@checks.check(
    number=26,
    part="a",
    title="A credential that upstream refuses is a diagnostic, not a failed call.",
    needs=(capability_pb2.CAPABILITY_CREDENTIAL_CHECK,),
    needs_upstream=True,
)
async def wrong_key_is_a_diagnostic(run: runs.Run) -> None:
    """Tests the same credentials before and after upstream refuses them."""
    assert run.upstream is not None
    binding = await run.new_binding(configure=False)
    if any(one.severity == _ERROR for one in await binding.validate(check_credentials=True)):
        raise checks.Failed(
            "credentials that upstream accepts give an error",
            fix="ask upstream something harmless that needs the credentials",
        )
    run.upstream.reject_credentials()
    try:
        found = await binding.validate(check_credentials=True)
    except refusal.Refused as refused:
        raise checks.Failed(
            f"ValidateConfig failed for credentials upstream refuses: {refused.shown()}",
            fix="answer OK with a diagnostic; the check did run",
        ) from refused
    if not any(one.severity == _ERROR for one in found):
        raise checks.Failed(
            "no error for credentials that upstream refuses",
            fix="ask upstream when check_credentials is set",
        )
    if any(one.severity == _ERROR for one in await binding.validate()):
        raise checks.Failed(
            "credentials are tested though nobody asked for it",
            fix="ask upstream only when check_credentials is set",
        )


@checks.check(
    number=26,
    part="b",
    title="A credential check while upstream is down is a failed call, not a diagnostic.",
    needs=(capability_pb2.CAPABILITY_CREDENTIAL_CHECK,),
    needs_upstream=True,
)
async def no_upstream_is_a_failure(run: runs.Run) -> None:
    """Tests credentials while nothing answers."""
    assert run.upstream is not None
    binding = await run.new_binding(configure=False)
    run.upstream.go_down()
    await run.expect_status(
        binding.validate(check_credentials=True),
        what="ValidateConfig with check_credentials while upstream is down",
        code=(
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        ),
        fix="fail the call: nobody knows whether the credentials are right",
    )


@checks.check(
    number=27,
    level=checks.SHOULD,
    title="Probe warns of a secret that expires within 24 hours, and of no other.",
)
async def expiry_is_announced(run: runs.Run) -> None:
    """Configures secrets with an hour and with two days to live."""
    if not run.secrets:
        raise checks.NotProven("the provider takes no secrets", cause=checks.Cause.CAPABILITY)
    for life_s, is_due in ((SOON_S, True), (FAR_S, False)):
        binding = await run.new_binding(configure=False)
        config = binding.sent()
        for secret in config.secrets:
            secret.expire_time.FromSeconds(int(time.time()) + life_s)
        await _configure(binding, generation=1, config=config)
        probe = await run.call(run.plugin.Probe, ps.ProbeRequest(), timeout_s=5.0)
        warned = {
            warning.slot
            for one in probe.bindings
            if one.binding_id == binding.binding_id
            for warning in one.secret_warnings
        }
        if warned != (set(run.secrets) if is_due else set()):
            raise checks.Failed(
                f"a secret expires in {life_s // 3_600} h and Probe warns of "
                f"{', '.join(sorted(warned)) or 'none'}",
                fix="list secrets whose expire_time is within 24 hours in secret_warnings",
            )
