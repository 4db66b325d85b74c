"""The one kind of error that a user can mend."""


class BadInput(ValueError):
    """Something that was handed in cannot be used. The message is one line: what it is, why, and the remedy."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook's cell shows, as IPython asks an error for it: the message, without a trace."""
        return [str(self)]
