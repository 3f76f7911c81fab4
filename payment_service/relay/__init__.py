"""The outbox relay: brings events from the outbox to the event gateway.

Owns when rows are sent, marked, held back, sent again and deleted. Run inside
payment_service or alone; several may run. Never changes an event, and never
keeps a payment waiting.
"""

from payment_service.relay.daemon import Relay
from payment_service.relay.guarding import Asking, Guard
from payment_service.relay.options import Options

__all__ = ["Asking", "Guard", "Options", "Relay"]
