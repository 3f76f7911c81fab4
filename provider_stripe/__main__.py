"""Entry point: `python -m provider_stripe`.

Owns the command line, which has nothing on it: the environment says where to listen and where
Stripe is. Never decides anything else.
"""

import argparse
import sys

from provider_sdk import serve
from provider_stripe import provider, settings
from servicekit import settings as kit_settings


def main() -> int:
    """Serves until SIGTERM and returns the exit status."""
    parser = argparse.ArgumentParser(prog="provider_stripe", description="Stripe, as a provider.")
    parser.parse_args()
    told = kit_settings.load(settings.StripeSettings)
    return serve.serve(provider.StripeProvider(told), told, service_name="provider_stripe")


if __name__ == "__main__":
    sys.exit(main())
