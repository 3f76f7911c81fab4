"""What is read of a webhook that anybody may have sent."""

from payhub.provider.v1 import notice_provider_service_pb2 as nps

from provider_stripe import webhooks


def test_a_body_of_anybody_is_no_bug_of_the_plugin() -> None:
    """What JSON can spell and a text can't hold is told without it."""
    read = webhooks.parse(nps.WebhookRequest(body=b'{"id": "a\\ud800", "type": "b"}'))
    assert (read.provider_event_id, read.event_type) == ("a?", "b")
