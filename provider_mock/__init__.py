"""provider_mock."""
