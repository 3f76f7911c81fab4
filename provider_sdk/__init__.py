"""What the author of a payment provider imports to serve it as a sidecar.

`provider` is the class to write, `errors` what it may raise, `serve` its whole
main. Called by provider_* packages. Never imports a service of Payhub.
"""
