"""payctl."""
