"""What no input can make of the notifier's mails."""

import hypothesis
from hypothesis import strategies as st

from tests.unit.email_notifier import samples


@hypothesis.given(st.text(max_size=150), st.text(max_size=300), st.text(min_size=8, max_size=64))
@hypothesis.example("Ada\r\nBcc: all@x.test", "a\nBcc: all@x.test", "evt_1\r\nBcc: all@x.test")
@hypothesis.example("=?utf-8?q?a=0ABcc=3A_x=40y?=", "=?utf-8?b?CkJjYzogeEB5?=", "=?utf-8?q?=0Ax?=")
@hypothesis.example("<script>alert(1)</script>", "<img src=x onerror=y>", "evt_>@evil, <x>")
def test_no_text_of_others_reaches_headers_or_markup(name: str, order: str, event_id: str) -> None:
    """Names, references and ids can neither add a header or recipient nor markup."""
    hypothesis.assume(all(text.isascii() or _encodes(text) for text in (name, order, event_id)))
    payload = samples.payment(references={"customer_id": samples.CUSTOMER, "order_id": order})
    mail = samples.mail(samples.event("payment.succeeded", payload, id=event_id), name=name)
    assert set(mail.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    }
    assert [each.addr_spec for each in mail["To"].addresses] == ["ada@x.test"]
    assert mail["Message-ID"].count("@") == 1
    page = samples.body(mail, "html")
    assert "<script" not in page
    assert "<img" not in page


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
