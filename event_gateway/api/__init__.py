"""The gateway's RPCs: messages in, use of the log, messages out."""
