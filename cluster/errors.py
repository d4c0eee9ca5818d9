"""Errors that a user can act on: one line, no traceback, exit code 2."""


class UserError(Exception):
    """A mistake or a condition that the user can change; its text says what to change."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class StorageFull(UserError):
    """Run storage has no room left; what was sealed before is kept."""


class StorageUnavailable(UserError):
    """An object store refuses, or does not answer for minutes; what was sealed before is kept."""
