"""The use cases of mirrored entities.

Owns their transactions: intents and outcomes of operations, and absorbing what providers
tell. Called by the API, the settler, the resolver and webhooks. Which change follows is
decided in `domain.mirrors`.
"""
