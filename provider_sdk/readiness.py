"""What Probe tells core of this process and its bindings.

Owns the answer to Probe: readiness with reasons, what upstream thinks of
credentials, secrets that run out. Called by the plugin servicer. Never asks
anything upstream.
"""

from collections.abc import Sequence
from typing import Any

from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_sdk import errors, host, provider
from servicekit import sanitizer

SECRET_WARNING_US = 24 * 3_600 * 1_000_000
REASONS_MAX = 16
REASON_CHARS_MAX = 256

Told = provider.Readiness | provider.Health

_DEGRADED = ps.ProbeResponse.READINESS_DEGRADED


def response(state: host.Host, told: Told) -> ps.ProbeResponse:
    """Returns the answer to Probe.

    Args:
        state: The process.
        told: What the provider says of itself.
    """
    health = told if isinstance(told, provider.Health) else provider.Health()
    reasons = _reasons(health.reasons, state.bindings())
    if isinstance(told, provider.Health):
        answer = _DEGRADED if reasons else ps.ProbeResponse.READINESS_READY
    else:
        answer = told
    if answer == _DEGRADED and not reasons:
        reasons = ["something upstream is impaired"]
    answered = ps.ProbeResponse(
        readiness=answer,
        bindings=[
            _status(state, binding, health.binding_reasons.get(binding.binding_id, ()))
            for binding in state.bindings()
        ],
        active_calls=state.tracker.active,
        degraded_reasons=reasons,
    )
    answered.time.FromMicroseconds(state.clock.now_us())
    return answered


def _reasons(reasons: Sequence[str], bindings: Sequence[provider.Binding[Any]]) -> list[str]:
    """Returns *reasons* as core takes them, without the secrets of *bindings*."""
    told = [text for reason in reasons if (text := errors.whole(reason))][:REASONS_MAX]
    hidden = host.secret_texts(bindings) if told else ()
    # Before they are cut: of a part of a secret nobody could tell that it is one.
    return [sanitizer.without(reason, hidden)[:REASON_CHARS_MAX] for reason in told]


def _status(
    state: host.Host, binding: provider.Binding[Any], reasons: Sequence[str]
) -> ps.BindingStatus:
    status = ps.BindingStatus(
        binding_id=binding.binding_id,
        applied_generation=binding.generation,
        degraded_reasons=_reasons(reasons, [binding]),
    )
    verdict = state.verdict(binding)
    if verdict is not None:
        accepted, rejected = (
            ps.BindingStatus.CREDENTIAL_STATUS_ACCEPTED,
            ps.BindingStatus.CREDENTIAL_STATUS_REJECTED,
        )
        status.credential_status = accepted if verdict.accepted else rejected
        status.credential_time.FromMicroseconds(verdict.said_us)
    due_us = state.clock.now_us() + SECRET_WARNING_US
    for slot, versions in sorted(binding.secrets.items()):
        for secret in versions:
            if secret.expire_us is not None and secret.expire_us <= due_us:
                warning = status.secret_warnings.add(slot=slot, version=secret.version)
                warning.expire_time.FromMicroseconds(secret.expire_us)
    return status
