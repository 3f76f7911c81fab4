"""What an invoice is and what happens to it.

Owns what each change is called. Called by the use cases. Invoices are made by providers
alone: nothing here is asked for by anybody.
"""

from dataclasses import dataclass, replace

from payment_service.domain import model
from payment_service.domain.mirrors import base, objects

State = objects.InvoiceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice(base.Mirrored):
    """What a provider billed, minor units of `currency`; times are 0 where there is none.

    `pdf_url` and `hosted_url` are secrets.
    """

    customer_id: str = ""
    subscription_id: str = ""
    payment_id: str = ""
    user_id: str = ""
    number: str = ""
    state: State = State.DRAFT
    amount_due_minor: int = 0
    amount_paid_minor: int = 0
    currency: str = ""
    period_start_us: int = 0
    period_end_us: int = 0
    due_us: int = 0
    overdue: bool = False
    attempt_count: int = 0
    next_attempt_us: int = 0
    pdf_url: str = ""
    hosted_url: str = ""
    failure: model.Failure | None = None
    provider_payment_id: str = ""

    def bare(self) -> "Invoice":
        """Returns it without what may change and is no event."""
        return replace(base.Mirrored.bare(self), provider_payment_id="")


def _show(before: Invoice, seen: objects.Invoice, links: base.Links) -> Invoice:
    state = State.VOID if seen.deleted else seen.state
    return replace(
        before,
        customer_id=links.customer_id or before.customer_id,
        subscription_id=links.subscription_id or before.subscription_id,
        user_id=links.user_id or before.user_id,
        payment_id=links.payment_id,
        provider_payment_id=seen.provider_payment_id,
        number=seen.number,
        state=state,
        amount_due_minor=seen.amount_due_minor,
        amount_paid_minor=seen.amount_paid_minor,
        currency=seen.currency,
        period_start_us=seen.period_start_us,
        period_end_us=seen.period_end_us,
        due_us=seen.due_us,
        # A provider may tell it once, beside its objects.
        overdue=state is State.OPEN and (seen.overdue or before.overdue),
        attempt_count=seen.attempt_count,
        next_attempt_us=seen.next_attempt_us,
        pdf_url=seen.pdf_url,
        hosted_url=seen.hosted_url,
        failure=seen.decline if state is not State.PAID else None,
    )


def _adopt(new: base.New, seen: objects.Invoice, links: base.Links) -> Invoice | None:
    """An account may be shared: what is billed to nobody known here is somebody else's."""
    if not links.customer_id and not links.subscription_id:
        return None
    return Invoice(
        id=new.id,
        tenant_id=new.tenant_id,
        place=new.place,
        created_us=new.now_us,
        updated_us=new.now_us,
    )


def _tell(before: Invoice | None, after: Invoice) -> base.Told[Invoice]:
    if before is None:
        return _first(after)
    if before.state is not after.state and after.state is State.PAID:
        return (("invoice.paid", after),)
    tried = after.attempt_count > before.attempt_count or before.failure is None
    if after.failure is not None and tried:
        return (("invoice.payment_failed", after),)
    if after.overdue and not before.overdue:
        return (("invoice.overdue", after),)
    return (("invoice.updated", after),) if before.bare() != after.bare() else ()


def _first(after: Invoice) -> base.Told[Invoice]:
    """An invoice that core hears of late still begins with `invoice.generated`, as all do."""
    unpaid = replace(
        after,
        state=State.OPEN,
        amount_paid_minor=0,
        attempt_count=0,
        failure=None,
        overdue=False,
        payment_id="",
        next_attempt_us=0,
    )
    if after.state is State.PAID:
        return (("invoice.generated", unpaid), ("invoice.paid", after))
    if after.failure is not None:
        return (("invoice.generated", unpaid), ("invoice.payment_failed", after))
    return (("invoice.generated", after),)


def _waits(entity: Invoice) -> int | None:
    """Only for its payment: one that is named is linked to once it is known."""
    return 0 if entity.provider_payment_id and not entity.payment_id else None


def overdue(invoice: Invoice) -> Invoice:
    """Returns an open invoice as one that should have been paid by now."""
    return replace(invoice, overdue=invoice.state is State.OPEN)


RULES: base.Rules[Invoice, objects.Invoice] = base.Rules(
    kind=objects.ObjectKind.INVOICE,
    prefix="inv",
    name="invoice",
    entity=Invoice,
    show=_show,
    tell=_tell,
    columns=lambda one: base.Columns(
        state=int(one.state),
        customer_id=one.customer_id,
        user_id=one.user_id,
        parent_id=one.subscription_id,
    ),
    adopt=_adopt,
    waits=_waits,
    ended=lambda one: one.state in (State.PAID, State.VOID),
)
