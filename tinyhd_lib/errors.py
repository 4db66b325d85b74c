"""The one kind of error that a user can mend."""


class BadInput(ValueError):
    """Something that was handed in cannot be used. The message is one line: what it is, why, and the remedy."""
