"""Alembic's entry point; see servicekit.storage.upgrade."""

from servicekit.storage import upgrade

upgrade.run_env()
