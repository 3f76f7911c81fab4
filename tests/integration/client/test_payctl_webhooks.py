"""payctl on webhook endpoints with more to send again than one call takes."""

from concurrent import futures
from typing import Any

import grpc
from payhub.events.v1 import webhook_service_pb2, webhook_service_pb2_grpc
from typer import testing

from payctl import commands
from tests.integration.client import conftest


class Gateway(webhook_service_pb2_grpc.WebhookServiceServicer):
    """Has 2,003 events that were given up."""

    def __init__(self) -> None:
        self.answers: dict[str, int] = {}

    def RetryWebhookDeliveries(self, request: Any, context: Any) -> Any:  # noqa: D102
        left = 2003 - sum(self.answers.values())
        queued = self.answers.setdefault(request.idempotency_key, min(left, 1000))
        return webhook_service_pb2.RetryWebhookDeliveriesResponse(queued=queued)


def test_everything_that_was_given_up_is_sent_again() -> None:
    """`retry --failed-since` goes on until nothing is left, and its key repeats all of it."""
    fake, server = Gateway(), grpc.server(futures.ThreadPoolExecutor(2))
    webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server(fake, server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    shell = testing.CliRunner(env={"PAYHUB_EVENTS_TARGET": target, "PAYHUB_KEY": conftest.KEY})
    arguments = ["webhooks", "out", "retry", "whe_1", "--failed-since", "2026-01-01"]
    try:
        for _ in range(2):
            done = shell.invoke(commands.app, [*arguments, "--key", "k" * 128])
            assert done.exit_code == 0, done.output
            assert "2003 events" in done.output
            assert list(fake.answers.values()) == [1000, 1000, 3]
    finally:
        server.stop(None)
