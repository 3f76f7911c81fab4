"""Durable consumers: who gets which event next, and what became of it."""
