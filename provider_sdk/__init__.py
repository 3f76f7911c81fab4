"""provider_sdk."""
