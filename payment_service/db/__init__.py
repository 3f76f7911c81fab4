"""The payment database: rows in and out of the domain's values.

Owns every SQL text of payment_service; functions take the caller's
`storage.Connection`. Called by the use cases, which own the transactions.
Never begins or commits one, never decides.
"""
