"""What an operator may choose about the relay.

Owns names and defaults. Filled from the settings by the composition root.
"""

from dataclasses import dataclass

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Times in seconds.

    Attributes:
        idle_s: The outbox is looked at this often even if nothing says that it grew.
        check_s: The gateway is asked this often whether it still has what it was given.
        keep_s: Marked rows are deleted when older, unless their entity has changed
            since; 0 keeps them for ever. Must exceed the age of any backup the
            gateway's log may be restored from: what was deleted can't be published
            again, and an empty log goes on with later versions of such an entity.
        mark_s: Rows are marked this long after they were published, together; until
            then a crash has them published again, which the gateway answers as
            duplicates. 0 marks every batch at once.
        publish_timeout_s: Deadline of one call to the gateway.
    """

    idle_s: float = 0.25
    check_s: float = 5.0
    keep_s: float = 30 * DAY_S
    mark_s: float = 0.2
    publish_timeout_s: float = 10.0
