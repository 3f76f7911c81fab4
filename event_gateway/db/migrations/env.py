"""Alembic's entry point; see servicekit.storage.migrations."""

from servicekit import storage

storage.run_env()
