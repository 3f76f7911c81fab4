"""The API reference: what is linked is there, and what the contract has is on a page."""

import re

from payhub.admin.v1 import doubt_service_pb2
from payhub.payments.v1 import payment_service_pb2
from payhub.provider.v1 import operation_pb2

from deploy import api_reference

PAGES = {path.name: path.read_text() for path in api_reference.FOLDER.glob("*.md")}
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([a-z]+\.md)(?:#([a-z0-9_-]+))?\)")


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", heading.lower().replace(" ", "-"))


def test_every_link_leads_somewhere() -> None:
    """Types are found where a field or an RPC names them."""
    anchors = {
        name: {_anchor(heading) for heading in HEADING.findall(text)}
        for name, text in PAGES.items()
    }
    broken = {
        (page, target, anchor)
        for page, text in PAGES.items()
        for target, anchor in LINK.findall(text)
        if target not in anchors or (anchor and anchor not in anchors[target])
    }
    assert broken == set()


def test_services_messages_and_enums_are_on_their_page() -> None:
    """An RPC says what it takes and who may call it; a field its rules; a value its meaning."""
    payments, admin, provider = (PAGES[f"{name}.md"] for name in ("payments", "admin", "provider"))
    for method in payment_service_pb2.DESCRIPTOR.services_by_name["PaymentService"].methods:
        assert f"### {method.name}\n\n[{method.input_type.name}]" in payments
    assert "scope `payments:write`; 30 s, at most 120 s" in payments
    assert "| `idempotency_key` = 1 | string | `string { min_len: 1 max_len: 128 }` |" in payments
    request = doubt_service_pb2.SettleDoubtRequest
    for field in request.DESCRIPTOR.fields:
        assert f"| `{field.name}` = {field.number} |" in admin
    assert "### SettleDoubtRequest.Finding" in admin
    for value in operation_pb2.Operation.DESCRIPTOR.enum_types_by_name["State"].values:
        assert f"| `{value.name}` |" in provider
    assert "map of string to string" in payments
    assert "one of `selection`, which is required" in PAGES["events.md"]
    assert ", secret |" in payments
