"""The command line of Payhub, on top of payhub_client."""
