"""Pages for payers: checkouts, and invoices as HTML and PDF.

Owns what they look like. Mounted with the other HTTP routes. Only reads.
"""

import html

from starlette import requests, responses, routing

from provider_mock import provider
from provider_mock.objects import model, store

_CHECKOUT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Simulated checkout</title>
<h1>Simulated checkout</h1>
<form method="post" action="{path}/complete"><button>Pay</button></form>
</html>
"""
_INVOICE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Invoice {number}</title>
<h1>Invoice {number}</h1>
<p>{amount_minor} {currency} (minor units)</p>
</html>
"""


def routes(mock: provider.MockProvider) -> list[routing.BaseRoute]:
    """Returns the pages of *mock*."""

    async def checkout(request: requests.Request) -> responses.Response:
        return responses.HTMLResponse(_CHECKOUT.format(path=html.escape(request.url.path)))

    async def invoice(request: requests.Request) -> responses.Response:
        name = request.path_params["name"]
        kept = await mock.read(lambda conn: store.by_id(conn, name.removesuffix(".pdf")))
        if kept is None or not isinstance(kept.body, model.Invoice):
            return responses.JSONResponse({"error": "no such invoice"}, status_code=404)
        body = kept.body
        if name.endswith(".pdf"):
            text = f"Invoice {body.number}: {body.amount_minor} {body.currency} (minor units)"
            return responses.Response(pdf(text), media_type="application/pdf")
        shown = {"number": body.number, "currency": body.currency}
        return responses.HTMLResponse(_INVOICE.format(**shown, amount_minor=body.amount_minor))

    return [
        routing.Route("/checkouts/{token:str}", checkout, methods=["GET"]),
        routing.Route("/invoices/{name:str}", invoice, methods=["GET"]),
    ]


def pdf(text: str) -> bytes:
    """Returns a one-page PDF that shows one line of ASCII text."""
    line = text.encode("ascii", "replace").replace(b"\\", b"").replace(b"(", b"").replace(b")", b"")
    content = b"BT /F1 14 Tf 72 720 Td (" + line + b") Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    written, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    return written + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (count, table, count, len(written))
    )
