"""Entry point: `python -m subscribers.email_notifier`.

Owns the command line, which has nothing on it, and puts the parts together. Started by operators.
Never decides anything else.
"""

import argparse
import sys

from payhub.options.v1 import options_pb2

import payhub_client
from servicekit import logs, metrics, server, tls
from servicekit import settings as kit_settings
from subscribers.email_notifier import mails, notifier, settings, smtp


def main() -> int:
    """Mail until SIGTERM and return the exit status."""
    parser = argparse.ArgumentParser(prog="email_notifier", description="Mails to payers.")
    parser.parse_args()
    told = kit_settings.load(settings.Settings)
    logs.configure(
        service="email_notifier",
        level=told.log_level,
        fmt=told.log_format,
        sensitive=options_pb2.sensitive,
    )
    try:
        templates = mails.load(told.templates)
    except mails.TemplateProblem as problem:
        sys.stderr.write(f"EMAIL_NOTIFIER_TEMPLATES: {problem}\n")
        return 2
    return server.run(serve(told, templates))


async def serve(told: settings.Settings, templates: dict[str, mails.Template]) -> int:
    """Run the notifier beside health and metrics until SIGTERM; returns the exit status."""
    registry = metrics.Metrics()
    password = told.smtp_password
    async with payhub_client.Client(
        told.payments_target,
        key=told.key.get_secret_value(),
        events_target=told.events_target,
        credentials=tls.dialer(told.tls_files).credentials,
    ) as client:
        work = notifier.Notifier(
            told=told,
            client=client,
            composer=mails.Composer(
                templates=templates, from_address=told.from_address, from_name=told.from_name
            ),
            mailer=smtp.Mailer(
                host=told.smtp_host,
                port=told.smtp_port,
                tls=told.smtp_tls,
                username=told.smtp_username,
                password="" if password is None else password.get_secret_value(),
                from_address=told.from_address,
                timeout_s=told.smtp_timeout_s,
                send_timeout_s=told.send_timeout_s,
            ),
            mails=notifier.counter(registry),
        )
        return await server.serve(
            settings=told,
            service_name="email_notifier",
            servicers=(),
            background=[work.run],
            registry=registry,
            ready_checks={"consumer": work.ready},
        )


if __name__ == "__main__":
    sys.exit(main())
