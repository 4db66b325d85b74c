"""The command line ``tinyhd``: find the command, let tyro parse its options, and report an error in one line."""

import atexit
import io
import logging
import os
import re
import signal
import sys
import tomllib
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from difflib import get_close_matches
from functools import partial, wraps
from importlib.resources import files
from pkgutil import resolve_name

from tinyhd_lib import __version__
from tinyhd_lib.errors import BadInput

Command = Callable[..., int | None]
"""Takes options, and returns the exit status: None for 0."""

_TABLES = tomllib.loads(files(__name__).joinpath("commands.toml").read_text("utf-8"))
_COMMANDS: dict[str, tuple[str, str]] = _TABLES["commands"]
_EARLIER: dict[str, tuple[str, str]] = _TABLES["earlier"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, 1 for findings, 2 after bad input, 130 when interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = next((name for name in (" ".join(words[:2]), *words[:1]) if name in _COMMANDS), None)
    if name is None:
        return _introduce(words)
    if arguments is None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM must lose no work either
        # At exit no work can be lost any more, and SIGTERM must still end the process if a library's clean-up hangs.
        atexit.register(signal.signal, signal.SIGTERM, signal.SIG_DFL)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("tinyhd_lib").setLevel(logging.INFO)
    for library in ("openvino", "onnxscript"):
        logging.getLogger(library).setLevel(logging.ERROR)
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")  # read on import, here and in workers
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # on a busy machine, spinning threads slow down all work
    from tqdm.contrib.logging import logging_redirect_tqdm

    command: Command = resolve_name(f"{__name__}.{_COMMANDS[name][0]}")
    try:
        with logging_redirect_tqdm():
            return _parse(command, name, words[len(name.split()) :])() or 0
    except BadInput as error:
        reason = str(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")
    except UnicodeEncodeError as error:
        return _refuse(f"a file's name is not UTF-8 ({error}); rename it")
    except KeyboardInterrupt:
        return _refuse("interrupted; run the same command again to resume", status=130)
    return _refuse(_in_flags(reason, command, name))


def _parse(command: Command, name: str, words: Sequence[str]) -> Callable[[], int | None]:
    """Return the command with its parsed options bound.

    Raises:
        BadInput: an option is invalid, for the library or for tyro.
        SystemExit: help was asked for.
    """
    import tyro
    from tyro.conf import DisallowNone, FlagCreatePairsOff, OmitArgPrefixes, PositionalMetavarFromFieldName

    @wraps(command)
    def bind(*values: object, **options: object) -> Callable[[], int | None]:
        return partial(command, *values, **options)

    # Flags without the names of the groups they are in, without a --no- of each, and without None as a value.
    config = (OmitArgPrefixes, FlagCreatePairsOff, DisallowNone, PositionalMetavarFromFieldName)
    earlier, now = _EARLIER.get(name, ("", ""))
    words = [now + word[len(earlier) :] if earlier and word.split("=")[0] == earlier else word for word in words]
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(bind, prog=f"tinyhd {name}", args=words, config=config)
    except SystemExit as exit_:
        cause: BaseException | None = exit_
        while cause and not isinstance(cause, BadInput):
            cause = cause.__context__
        if cause:  # tyro's own message takes several lines
            raise cause from None
        if exit_.code:
            raise BadInput(f"{_in_one_line(said.getvalue())} (tinyhd {name} --help)") from None
        raise


def _in_one_line(box: str) -> str:
    """Return tyro's boxed error message as one line: the text below its title, and the nearest option."""
    inside = re.sub("[│╭╮╰╯─]|-{9,}", "", box).splitlines()[1:]  # a plain terminal gets a box of hyphens
    text = "\n".join(map(str.strip, inside)).strip()
    what = re.sub("'None', |, 'None'", "", text.partition("\n\n")[0].replace("\n", " ")).rstrip(".")
    near = re.findall(r"^Perhaps.*\n(.*)", text, re.MULTILINE)
    return "; perhaps ".join([what, *near])


def _introduce(words: Sequence[str]) -> int:
    """Handle ``--help``, ``--version`` and unknown commands."""
    if words == ["--version"]:
        sys.stdout.write(f"tinyhd {__version__}\n")
        return 0
    asked = bool({"-h", "--help"} & set(words))
    group = [name for name in _COMMANDS if words and name.startswith(f"{words[0]} ")]
    if words and not asked and not (group and len(words) == 1):
        wrong = " ".join(words[:2])
        near = group or get_close_matches(wrong, _COMMANDS, 3, 0.4)
        nearest = f"near are {', '.join(near)}; " if near else ""
        return _refuse(f"{wrong}: no such command; {nearest}tinyhd --help lists all")
    rows = [f"  {name:17}{_COMMANDS[name][1]}" for name in group or _COMMANDS]
    examples = [] if group else ["", files(__name__).joinpath("examples.txt").read_text(encoding="utf-8")]
    title = "Video saliency: where human eyes go in a video."
    text = ["usage: tinyhd COMMAND [OPTIONS]", "", title, "", "commands:", *rows, *examples]
    (sys.stdout if asked else sys.stderr).write("\n".join(text).rstrip() + "\n")
    return 0 if asked else 2


def _in_flags(message: str, command: Command, name: str) -> str:
    """Return a library message with each parameter in backticks replaced by the command's flag, if it has one."""
    shown = io.StringIO()
    with redirect_stdout(shown), suppress(SystemExit):
        _parse(command, name, ["--help"])
    flags = set(re.findall(r"--[a-z][\w-]*", shown.getvalue()))

    def in_flags(found: re.Match[str]) -> str:
        parameter, _, value = found[1].partition("=")
        flag = f"--{parameter.replace('_', '-')}"
        if flag not in flags:
            return found[1]
        return f"{flag} {value.strip(chr(34))}" if value not in {"", "True"} else flag

    return re.sub(r"`([^`]+)`", in_flags, message)


def _refuse(message: str, status: int = 2) -> int:
    sys.stderr.write(f"tinyhd: {message}\n")
    return status
