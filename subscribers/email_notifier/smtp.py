"""Hands one mail to the SMTP server and says what that means.

Owns the connection of each mail and how answers are read. Called by `notifier`. Never shows an
answer's text: servers like to repeat the address in it.
"""

import asyncio
import contextlib
import email.message
import re
from dataclasses import dataclass

import aiosmtplib

_ENHANCED = re.compile(r"\d\.\d{1,3}\.\d{1,3}\b")


class TryLater(Exception):
    """Not accepted now, or nobody knows whether it was; the text says why."""


class Refused(Exception):
    """This mail will not be accepted, however often it is sent; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """Sends mails, each on a connection of its own.

    Args:
        host: Of the server.
        port: Of the server.
        tls: `starttls`, `tls` or `none`.
        username: Empty for a server that asks for none.
        password: Belongs to it.
        from_address: Envelope sender.
        timeout_s: Longest wait for one answer.
        send_timeout_s: Longest time for one mail.
    """

    host: str
    port: int
    tls: str
    username: str
    password: str
    from_address: str
    timeout_s: float
    send_timeout_s: float

    async def send(self, made: email.message.EmailMessage, address: str) -> None:
        """Return once the server has taken responsibility for the mail.

        Raises TryLater or Refused. After TryLater the server may have the mail all the same,
        if its answer was lost.
        """
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            timeout=self.timeout_s,
            use_tls=self.tls == "tls",
            start_tls=self.tls == "starttls",
            username=self.username or None,
            password=self.password or None,
        )
        try:
            async with asyncio.timeout(self.send_timeout_s):
                await client.connect()
                await client.sendmail(self.from_address, address, made.as_bytes())
        except Exception as failure:
            raise _meaning(failure) from None
        else:
            # It is accepted, however the connection ends.
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await client.quit(timeout=1.0)
        finally:
            client.close()


def _meaning(failure: Exception) -> Exception:
    """Return what a failure means; itself if it is not one of the server or the network."""
    if isinstance(failure, aiosmtplib.SMTPRecipientsRefused) and failure.recipients:
        failure = failure.recipients[0]
    if isinstance(failure, aiosmtplib.SMTPResponseException):
        text = f"SMTP {failure.code}"
        if enhanced := _ENHANCED.match(str(failure.message)):
            text += f" {enhanced[0]}"
        about_this_mail = isinstance(
            failure, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError
        )
        # What is refused before the recipient is named concerns every mail: the sender, the
        # password. Somebody will put that right.
        if about_this_mail and 500 <= failure.code < 600:
            kind = "recipient" if isinstance(failure, aiosmtplib.SMTPRecipientRefused) else "mail"
            return Refused(f"{kind} refused: {text}")
        return TryLater(f"{type(failure).__name__}: {text}")
    if isinstance(failure, aiosmtplib.SMTPException | OSError | TimeoutError):
        return TryLater(type(failure).__name__)
    return failure
