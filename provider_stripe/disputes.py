"""Disputes at Stripe.

Owns what is sent against or for them. Called by `provider`. Never uploads files: evidence is
texts.
"""

from typing import Any

from payhub.provider.v1 import dispute_provider_service_pb2 as dps

from provider_sdk import calls, errors
from provider_stripe import answers, calling, marks, objects, transport

EXPANDED = ["payment_intent"]
# The texts that Stripe takes; the others it has are files.
TEXTS = frozenset(
    {
        "access_activity_log",
        "billing_address",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
        "customer_email_address",
        "customer_name",
        "customer_purchase_ip",
        "duplicate_charge_explanation",
        "duplicate_charge_id",
        "product_description",
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "service_date",
        "shipping_address",
        "shipping_carrier",
        "shipping_date",
        "shipping_tracking_number",
        "uncategorized_text",
    }
)


async def submit(
    account: transport.Account, request: dps.SubmitEvidenceRequest, call: calling.Call
) -> calls.Answer:
    """Submits the evidence that Stripe has fields for."""
    evidence = {name: text for name, text in request.evidence.items() if name in TEXTS}
    if not evidence:
        text = f"none of these is a text Stripe takes: {', '.join(sorted(TEXTS))}"
        raise errors.InvalidRequest(text, [("evidence", text)])
    params: dict[str, Any] = {
        "evidence": evidence,
        "submit": True,
        "metadata": marks.changed(call.operation_id, "evidence"),
        "expand": EXPANDED,
    }
    return await answers.send(
        account,
        calling.Deadline(calling.REQUEST_MAX_S),
        call,
        lambda: account.api.disputes.update_async(
            request.provider_dispute_id, params, {"idempotency_key": call.operation_id}
        ),
        objects.dispute,
        object_id=request.provider_dispute_id,
        retrieve=lambda found: account.api.disputes.retrieve_async(found, {"expand": EXPANDED}),
    )


async def accept(
    account: transport.Account, request: dps.AcceptDisputeRequest, call: calling.Call
) -> calls.Answer:
    """Closes a Dispute, which is lost then; one that is lost stays as it is."""
    deadline = calling.Deadline(calling.REQUEST_MAX_S)
    dispute_id = request.provider_dispute_id
    now = await calling.read(
        account,
        deadline,
        lambda: account.api.disputes.retrieve_async(dispute_id, {"expand": EXPANDED}),
    )
    if now.told.get("status") == "lost":
        return answers.done(call.operation_id, objects.dispute(now.told, now.at_s))
    return await answers.send(
        account,
        deadline,
        call,
        lambda: account.api.disputes.close_async(
            dispute_id, {"expand": EXPANDED}, {"idempotency_key": call.operation_id}
        ),
        objects.dispute,
        object_id=dispute_id,
        retrieve=lambda found: account.api.disputes.retrieve_async(found, {"expand": EXPANDED}),
    )
