"""Runnable examples of what Payhub does."""
