"""Use cases: the only place where transactions begin and end.

Owns the order commit intent → call → commit outcome. Called by the API, the
resolver and the relay's process. Never knows a gRPC context.
"""
