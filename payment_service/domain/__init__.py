"""The rules of payments: pure functions over frozen values.

Owns states, transitions, amounts and what may be done when. Called by the use
cases. Never does I/O, reads a clock, makes an id or knows a database, gRPC or
a provider.
"""
