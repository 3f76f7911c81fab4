"""The Stripe sidecar: Payhub's contract in front, the official `stripe` SDK behind.

Deployed as a process of its own. Holds no state: Stripe is its state. Nothing else imports
it, and nothing else in this repository imports `stripe`.
"""
