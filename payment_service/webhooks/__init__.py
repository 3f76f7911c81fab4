"""The HTTP endpoint for what providers tell, and the loop that applies what waits.

`endpoint` serves `POST /webhooks/{provider}/{binding}`, `applier` runs inside the process.
Both only lead to `usecases.webhooks`.
"""
