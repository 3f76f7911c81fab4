"""The event gateway's process: `python -m event_gateway [command]`.

Owns the command line and the exit status. Reads the environment once, through
`event_gateway.settings`.
"""

import argparse
import sys
from collections.abc import Sequence

from payhub.options.v1 import options_pb2

from event_gateway import gateway, settings
from servicekit import encryption_keys, logs, server, storage
from servicekit import settings as process_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m event_gateway",
        description="Keeps the event log and streams it to subscribers.",
    )
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        choices=("serve", "migrate", "new-epoch", "new-encryption-key", "rotate-encryption-key"),
        help="serve (default); migrate: bring the database's schema up to date and exit; "
        "new-epoch: after restoring an older log, tell readers and producers that it lost "
        "events, and exit; new-encryption-key: print a fresh key for the secrets of webhook "
        "endpoints; rotate-encryption-key: encrypt them under the newest key",
    )
    command = parser.parse_args(arguments).command
    if command == "new-encryption-key":
        sys.stdout.write(f"{encryption_keys.new_key()}\n")
        return 0
    configured = process_settings.load(settings.Settings)
    logs.configure(
        service="event_gateway",
        level=configured.log_level,
        fmt=configured.log_format,
        sensitive=options_pb2.sensitive,
    )
    try:
        if command == "migrate":
            url = configured.database_url.get_secret_value()
            revision = storage.migrate(url, gateway.MIGRATIONS)
            sys.stdout.write(f"the database is at revision {revision}\n")
            return 0
        if command == "new-epoch":
            epoch = server.run(gateway.begin_epoch(configured))
            sys.stdout.write(f"the log's epoch is now {epoch}\n")
            return 0
        if command == "rotate-encryption-key":
            count = server.run(gateway.rotate_encryption_key(configured))
            sys.stdout.write(f"the secrets of {count} endpoints are under the newest key\n")
            return 0
        return server.run(gateway.serve(configured))
    except encryption_keys.KeyProblem as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    except storage.StorageError as failure:
        logs.get_logger(__name__).error("can't open the event log", problem=str(failure))
        logs.flush()
        return 1


if __name__ == "__main__":
    sys.exit(main())
