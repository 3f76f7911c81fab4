"""The event log's tables: appending, reading and migrating them."""
