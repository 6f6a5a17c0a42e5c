"""The error that a user can mend."""


class HostError(Exception):
    """Something about the set-up, a config or a file; its text says what, where and what to do."""
