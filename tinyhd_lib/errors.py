"""The one kind of error that a user can mend."""

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def refusing(what: str, *kinds: type[Exception], remedy: str = "") -> Iterator[None]:
    """Tell errors of some kinds as `BadInput`: what is wrong, in brackets why, and the remedy if there is one.

    Raises:
        BadInput: there was such an error.

    Examples:
        >>> with refusing("7x: no size", ValueError, remedy="give 7x5"):
        ...     int("x")
        Traceback (most recent call last):
        tinyhd_lib.errors.BadInput: 7x: no size (invalid literal for int() with base 10: 'x'); give 7x5
    """
    try:
        yield
    except kinds as error:
        why = getattr(error, "strerror", None) or first_line(error)
        raise BadInput(f"{what} ({why})" + (f"; {remedy}" if remedy else "")) from error


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, for a message of one line."""
    return str(error).strip().partition("\n")[0]
