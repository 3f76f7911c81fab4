"""Retry policies: get and set, and the event that tells of them.

Owns the transactions of these calls. Called by the API. Never tries anything.
"""

from payhub.payments.v1 import retry_policy_events_pb2, retry_policy_service_pb2

from payment_service.db import retry_policies
from payment_service.domain import model, retries
from payment_service.usecases import context, events, snapshots
from servicekit import storage

ENTITY = "retry_policy"


class RetryPolicies:
    """The use cases of retry policies."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx

    async def get(self, caller: context.Caller) -> retries.Policy:
        """Returns the tenant's policy; one without delays if it never set any."""
        return await self._ctx.db.read(lambda conn: retry_policies.load(conn, caller.tenant_id))

    async def set(self, caller: context.Caller, delays_us: tuple[int, ...]) -> retries.Policy:
        """Replaces the tenant's policy, for payments that fail from now on.

        One of the same delays stays as it is.
        """
        now_us, event_id = self._ctx.clock.now_us(), self._ctx.new_id("evt")

        def change(conn: storage.Connection) -> retries.Policy:
            before = retry_policies.lock(conn, caller.tenant_id)
            if before.updated_us and before.delays_us == delays_us:
                return before
            after = retries.Policy(
                tenant_id=caller.tenant_id,
                delays_us=delays_us,
                updated_us=now_us,
                version=before.version + 1,
            )
            retry_policies.save(conn, after)
            _tell(conn, before, after, caller.cause(""), event_id)
            return after

        policy = await self._ctx.db.write(change)
        self._ctx.outbox_written.set()
        return policy


def snapshot(policy: retries.Policy) -> retry_policy_service_pb2.RetryPolicy:
    """Returns a policy as callers see it."""
    message = retry_policy_service_pb2.RetryPolicy()
    for delay_us in policy.delays_us:
        message.delays.add().FromMicroseconds(delay_us)
    if policy.updated_us:
        message.update_time.CopyFrom(snapshots.timestamp(policy.updated_us))
    return message


def _tell(
    conn: storage.Connection,
    before: retries.Policy,
    after: retries.Policy,
    cause: model.Cause,
    event_id: str,
) -> None:
    payload = retry_policy_events_pb2.RetryPolicyEvent(policy=snapshot(after))
    payload.previous.SetInParent()
    if before.delays_us != after.delays_us:
        payload.changed.paths.append("delays")
        payload.previous.delays.extend(snapshot(before).delays)
    entity = events.Entity(
        ENTITY, after.tenant_id, after.version, after.tenant_id, "", after.updated_us
    )
    events.write(conn, "retry_policy.set", entity, payload, cause=cause, event_id=event_id)
