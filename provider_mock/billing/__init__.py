"""What the simulated provider does by itself: bills, retries, expires, disputes."""
