"""The fail points: every boundary at which a process may be killed.

Owns the table, which a test compares with the source. To try one by hand:
`PAYHUB_FAIL_POINTS=payment_service.after_provider_call:5` kills the process at the
fifth time it gets there.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class FailPoint:
    """One boundary.

    Attributes:
        name: `<process>.<boundary>`.
        nth: Which hit of a test's workload kills: one in the middle.
        leaves: What the crash leaves behind. `doubt, no effect`: an operation that nobody
            knows the outcome of, which the provider never booked; `doubt, effect`: one that
            it has booked; `no doubt`: every outcome is known.
    """

    name: str
    nth: int
    leaves: Literal["doubt, no effect", "doubt, effect", "no doubt"]


TABLE = (
    # The intent is stored, the provider knows nothing of it.
    FailPoint(name="payment_service.after_intent_commit", nth=5, leaves="doubt, no effect"),
    # Connected and configured, right before the request leaves.
    FailPoint(name="payment_service.before_provider_call", nth=5, leaves="doubt, no effect"),
    # The answer is here, in memory only.
    FailPoint(name="payment_service.after_provider_call", nth=5, leaves="doubt, effect"),
    # The answer is understood, in memory only.
    FailPoint(name="payment_service.before_outcome_commit", nth=5, leaves="doubt, effect"),
    # Everything is stored, the caller has no answer.
    FailPoint(name="payment_service.after_outcome_commit", nth=5, leaves="no doubt"),
    # A batch is taken from the outbox.
    FailPoint(name="payment_service.relay_before_publish", nth=3, leaves="no doubt"),
    # It is in the log, and not marked in the outbox.
    FailPoint(name="payment_service.relay_after_publish", nth=3, leaves="no doubt"),
    # It is marked.
    FailPoint(name="payment_service.relay_after_mark", nth=3, leaves="no doubt"),
    # The provider was asked and has booked nothing.
    FailPoint(name="provider_mock.before_commit", nth=5, leaves="doubt, no effect"),
    # The effect stands, its answer is not made.
    FailPoint(name="provider_mock.after_commit", nth=5, leaves="doubt, effect"),
    # The effect stands, its answer is about to be made.
    FailPoint(name="provider_mock.before_answer", nth=5, leaves="doubt, effect"),
    # Events are written, their transaction is open.
    FailPoint(name="event_gateway.before_append_commit", nth=4, leaves="no doubt"),
    # They are in the log, subscribers have not got them.
    FailPoint(name="event_gateway.after_append_commit", nth=4, leaves="no doubt"),
    # Subscribers may have got them, the relay has no answer.
    FailPoint(name="event_gateway.before_publish_answer", nth=4, leaves="no doubt"),
)

# Boundaries of what those crash tests do not use, and the tests that kill there.
ELSEWHERE = {
    "payment_service.after_webhook_stored": "integration/payment_service/test_webhooks_crash.py",
    "payment_service.before_webhook_applied": "integration/payment_service/test_webhooks_crash.py",
    "payment_service.after_webhook_applied": "integration/payment_service/test_webhooks_crash.py",
    "payment_service.before_resend": "integration/payment_service/test_webhooks_crash.py",
    "event_gateway.before_progress_commit": "integration/gateway/test_consumer_crashes.py",
    "event_gateway.after_progress_commit": "integration/gateway/test_consumer_crashes.py",
    "audit_log.written": "integration/subscribers/test_audit_log.py",
    "audit_log.synced": "integration/subscribers/test_audit_log.py",
    "audit_log.anchored": "integration/subscribers/test_audit_log.py",
}
