"""What the simulated provider tells by itself: signed, queued, sent, read again."""
