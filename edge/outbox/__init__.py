"""The outbox: what a box has read and the cloud has not yet receipted, numbered without gaps. SQLite, one file."""
