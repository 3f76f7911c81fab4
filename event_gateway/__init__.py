"""event_gateway."""
