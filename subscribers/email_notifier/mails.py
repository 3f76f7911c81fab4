"""From content and address to a mail, text and HTML.

Owns the templates, the headers and the Message-ID, which follows from the event so that a second
copy bears the same one. Called by `notifier`. Never writes a header by hand: the standard library
refuses line ends in them.
"""

import datetime
import email.errors
import email.headerregistry
import email.message
import email.policy
import hashlib
import html
import importlib.resources
import pathlib
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass

from payhub.events.v1 import event_pb2

from subscribers.email_notifier import contents

NAMES = ("receipt", "payment_failed", "welcome", "invoice")
TEMPLATE_BYTES_MAX = 65_536
_FIELDS = ("greeting", "amount", "number", "standing", "details", "sender")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+")
_SUBJECT = "Subject: "
# A server may take seven bits only, and eight have to be announced.
_POLICY = email.policy.SMTP.clone(cte_type="7bit")


class TemplateProblem(Exception):
    """A template can't be used; the text names its file."""


class BadAddress(ValueError):
    """A mail can't be addressed so. The text does not hold the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One kind of mail; the values in `page` are escaped, those elsewhere are not."""

    subject: string.Template
    text: string.Template
    page: string.Template


def load(folder: pathlib.Path | None) -> dict[str, Template]:
    """Return every template, those in `folder` first; raises TemplateProblem."""
    own = importlib.resources.files("subscribers.email_notifier") / "templates"

    def read(file: str) -> str:
        replaced = folder is not None and (folder / file).is_file()
        try:
            content = (folder / file if folder and replaced else own / file).read_bytes()
            if len(content) > TEMPLATE_BYTES_MAX:
                raise TemplateProblem(f"{file} is larger than 64 KiB")
            text = content.decode()
            string.Template(text).substitute(dict.fromkeys(_FIELDS, ""))
        except (OSError, ValueError, KeyError) as failure:
            raise TemplateProblem(
                f"{file}: {failure!r}; it may use ${', $'.join(_FIELDS)}"
            ) from None
        return text

    if folder is not None and not folder.is_dir():
        raise TemplateProblem(f"{folder} is no folder")
    return {name: _template(name, read(f"{name}.txt"), read(f"{name}.html")) for name in NAMES}


def _template(name: str, text: str, page: str) -> Template:
    subject, _, body = text.partition("\n")
    if not subject.startswith(_SUBJECT):
        raise TemplateProblem(f"{name}.txt must begin with a line {_SUBJECT}…")
    return Template(
        subject=string.Template(subject.removeprefix(_SUBJECT).strip()),
        text=string.Template(body.lstrip("\n")),
        page=string.Template(page),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Composer:
    """Makes mails of one sender.

    Args:
        templates: By name.
        from_address: Sender, ASCII.
        from_name: Name of the sender, one line.
    """

    templates: Mapping[str, Template]
    from_address: str
    from_name: str

    def compose(
        self, event: event_pb2.Event, content: contents.Content, *, name: str, address: str
    ) -> email.message.EmailMessage:
        """Return the mail; raises BadAddress."""
        template = self.templates[content.template]
        name = contents.usable_name(name)
        rows = [(label, contents.line(value)) for label, value in content.details if value]
        values = {field: content.values.get(field, "") for field in _FIELDS} | {
            "greeting": f"Hello {name}," if name else "Hello,",
            "sender": self.from_name or self.from_address,
            "details": "\n".join(f"{label}: {value}" for label, value in rows),
        }
        page_values = {field: html.escape(value) for field, value in values.items()}
        page_values["details"] = "\n".join(
            f"<tr><td>{html.escape(label)}</td><td>{html.escape(value)}</td></tr>"
            for label, value in rows
        )
        made = email.message.EmailMessage(policy=_POLICY)
        made["From"] = email.headerregistry.Address(self.from_name, addr_spec=self.from_address)
        made["To"] = _recipient(name, address)
        made["Subject"] = _plain(contents.line(template.subject.substitute(values)))
        made["Date"] = event.occur_time.ToDatetime(datetime.UTC)
        made["Message-ID"] = message_id(event.id, self.from_address.rpartition("@")[2])
        made["Auto-Submitted"] = "auto-generated"
        made.set_content(template.text.substitute(values))
        made.add_alternative(template.page.substitute(page_values), subtype="html")
        return made


def message_id(event_id: str, domain: str) -> str:
    """Return the Message-ID of the mail about an event, the same in every attempt.

    Producers may choose ids with any characters; those that a header could not bear are hashed.
    """
    if not _PLAIN_ID.fullmatch(event_id):
        event_id = f"evt_{hashlib.sha256(event_id.encode()).hexdigest()[:32]}"
    return f"<{event_id}@{domain}>"


def _plain(text: str) -> str:
    """Return `text` so that nothing in it is taken for encoded."""
    return text.replace(contents.ENCODED, "= ?")


def _recipient(name: str, address: str) -> email.headerregistry.Address:
    if not address.isascii():
        raise BadAddress("the address has characters beyond ASCII")
    try:
        made = email.headerregistry.Address(name, addr_spec=address)
    except (ValueError, IndexError, email.errors.MessageError):
        raise BadAddress("the address is none that mail can be sent to") from None
    if made.addr_spec != address or not made.domain:
        raise BadAddress("the address is none that mail can be sent to")
    return made
