"""The one kind of error that a user can mend."""

from typing import Any, Literal, get_args, get_origin, get_type_hints


class BadInput(ValueError):
    """Something that was handed in cannot be used.

    The message is one line: what it is, why, and the remedy. Parameters stand in backticks as Python has them, such as
    `force=True`; the command line says --force instead.
    """

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook's cell shows, as IPython asks an error for it: the message, without a trace."""
        return [str(self)]


def check_choices(options: Any) -> None:
    """Refuse a value of a dataclass that is none of those which its type, a ``Literal``, names.

    Raises:
        BadInput: there is one.
    """
    for name, kind in get_type_hints(type(options)).items():
        literals = [each for each in (kind, *get_args(kind)) if get_origin(each) is Literal]  # itself, or of a union
        choices = [choice for each in literals for choice in get_args(each)]
        value = getattr(options, name)
        if choices and value not in {None, *choices}:
            raise BadInput(f'`{name}="{value}"`: choose from {", ".join(choices)}')


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, for a message of one line."""
    return str(error).strip().partition("\n")[0]
