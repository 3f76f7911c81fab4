"""The payment service: takes payments, keeps them, and tells the gateway.

Data flows one way: api → use cases → provider_client | db → domain. See
ARCHITECTURE.md for where a line belongs.
"""

VERSION = "0.1.0"
