"""payhub_client."""
