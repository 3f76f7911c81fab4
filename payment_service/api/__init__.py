"""The gRPC surface: requests into use cases, values into responses.

Owns what the contract can't express: currencies, page tokens, field paths.
Called by gRPC through servicekit's pipeline. Never opens a transaction.
"""
