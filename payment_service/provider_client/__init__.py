"""Talking to providers: requests out, outcomes back.

Owns channels, handshakes, bindings and the reading of answers. Called by the
use cases between their two transactions. Never writes to the database, never
repeats a money call on its own.
"""
