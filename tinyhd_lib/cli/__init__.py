"""The command ``tinyhd``: it finds the command, lets tyro read its options, and turns an error into one line."""

import io
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from difflib import get_close_matches
from functools import partial, wraps
from itertools import dropwhile, islice, takewhile
from pkgutil import resolve_name

from tinyhd_lib import __version__
from tinyhd_lib.errors import BadInput

Command = Callable[..., int | None]
"""Takes options, and returns the exit status: None for 0."""

_COMMANDS = {
    "predict": ("videos:predict", "saliency maps and an overlay video of any video, or of many"),
    "view": ("videos:view", "a video with its maps, frame by frame, as a page for any browser"),
    "live": ("videos:live", "saliency of what happens now: a camera, an address, a video, a folder"),
    "generate": ("videos:generate", "maps of a whole data set, named as published"),
    "evaluate": ("videos:evaluate", "score anybody's maps against where people looked"),
    "compare": ("videos:compare", "evaluations against each other, with paired tests"),
    "train": ("models:train", "teach a student; what was cut off goes on"),
    "experiment": ("models:experiment", "train models that differ in one thing, and compare them"),
    "export": ("models:export", "a model as a file for other software, held against torch"),
    "weights list": ("models:list_weights", "the models that have names"),
    "weights get": ("models:get_weights", "download a published file, verified"),
    "weights convert": ("models:convert_weights", "turn a published .pth into a self-describing .safetensors"),
    "data synthesise": ("videos:synthesise", "a small made-up data set in the layout of a real one"),
    "data stills": ("videos:stills", "photographs with fixations as a data set of short videos with gaze"),
    "data verify": ("videos:verify", "read all of a data set and tell what is wrong; exit status 1 if so"),
    "notebooks list": ("models:list_notebooks", "which there are, with their sets of parameters"),
    "notebooks copy": ("models:copy_notebooks", "put them into a folder of your own, with their sets of parameters"),
    "notebooks run": ("models:run_notebooks", "each into a folder of its own; what is done is passed over"),
    "cache show": ("models:show_cache", "what is kept on this machine, and how large it is"),
    "cache clear": ("models:clear_cache", "remove it; it is made again when it is needed"),
}
"""Every command: the function in this folder that has its options, and a line of help."""

_ALIASES = {
    **dict.fromkeys(("predict", "generate", "live"), ("--stride", "--every")),
    "train": ("--workers", "--loaders"),
    "notebooks run": ("--jobs", "--workers"),
}
"""An earlier name of an option, and what it is called now, by command."""

_EXAMPLES = """examples:
  tinyhd predict video.mp4                      a grey-level PNG a frame, in video_saliency
  tinyhd predict video.mp4 --overlay seen.mp4   and an overlay video to watch
  tinyhd predict videos --workers 2             all videos in a folder
  tinyhd live 0 --serve 8000                    what a camera sees, in the browser
  tinyhd weights list                           the models
  tinyhd export workbench-m-r4 --to onnx        a model for other software
  tinyhd data synthesise dhf1k made_up          a small data set to try the following on
  tinyhd generate dhf1k made_up --out maps      the maps of a data set
  tinyhd evaluate maps dhf1k made_up            how good they are
  tinyhd train --list                           the recipes to train a student by
  tinyhd notebooks run -f smoke                 the notebooks, headless and quick
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, 1 for findings, 2 after bad input, 130 when interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = next((name for name in (" ".join(words[:2]), *words[:1]) if name in _COMMANDS), None)
    if name is None:
        return _introduce(words)
    if arguments is None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # who ends us politely loses nothing either
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("tinyhd_lib").setLevel(logging.INFO)
    for library in ("openvino", "onnxscript"):
        logging.getLogger(library).setLevel(logging.ERROR)
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")  # it asks when it is imported, here and in workers
    command: Command = resolve_name(f"{__name__}.{_COMMANDS[name][0]}")
    try:
        return _parse(command, name, words[len(name.split()) :])() or 0
    except BadInput as error:
        reason = str(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")
    except UnicodeEncodeError as error:
        return _refuse(f"a file's name is not UTF-8 ({error}); rename it")
    except KeyboardInterrupt:
        return _refuse("interrupted; the same command goes on from there", status=130)
    return _refuse(_in_flags(reason, command, name))


def _parse(command: Command, name: str, words: Sequence[str]) -> Callable[[], int | None]:
    """Return the command with its options.

    Raises:
        BadInput: the library refuses one of them, or tyro does.
        SystemExit: help was asked for.
    """
    import tyro
    from tyro.conf import DisallowNone, FlagCreatePairsOff, OmitArgPrefixes, PositionalMetavarFromFieldName

    @wraps(command)
    def bind(*values: object, **options: object) -> Callable[[], int | None]:
        return partial(command, *values, **options)

    # Flags without the names of the groups they are in, without a --no- of each, and without None as a value.
    config = (OmitArgPrefixes, FlagCreatePairsOff, DisallowNone, PositionalMetavarFromFieldName)
    alias, flag = _ALIASES.get(name, ("", ""))
    words = [flag + word[len(alias) :] if alias and word.split("=")[0] == alias else word for word in words]
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(bind, prog=f"tinyhd {name}", args=words, config=config)
    except SystemExit as exit_:
        cause: BaseException | None = exit_
        while cause and not isinstance(cause, BadInput):
            cause = cause.__context__
        if cause:  # tyro says it in several lines
            raise cause from None
        if exit_.code:
            raise BadInput(f"{_in_one_line(said.getvalue())} (tinyhd {name} --help)") from None
        raise


def _in_one_line(box: str) -> str:
    """Return what tyro says of a mistake in a box of several lines: what is below its title, and the nearest option."""

    def is_text(line: str) -> bool:
        return bool(line.strip("─-╭╮╰╯"))

    lines = [line.strip("│ ") for line in box.splitlines()[1:]]
    what = takewhile(is_text, dropwhile(lambda line: not is_text(line), lines))
    near = islice(dropwhile(lambda line: not line.startswith("Perhaps"), lines), 1, 2)
    return "; perhaps ".join([re.sub("'None', |, 'None'", "", " ".join(what)).rstrip("."), *near])


def _introduce(words: Sequence[str]) -> int:
    """Answer ``--help``, ``--version``, and what is no command."""
    if words == ["--version"]:
        sys.stdout.write(f"tinyhd {__version__}\n")
        return 0
    asked = bool({"-h", "--help"} & set(words))
    group = [name for name in _COMMANDS if words and name.startswith(f"{words[0]} ")]
    if words and not asked and not (group and len(words) == 1):
        wrong = " ".join(words[:2])
        near = group or get_close_matches(wrong, _COMMANDS, 3, 0.4) or ["predict"]
        return _refuse(f"{wrong}: no such command; near are {', '.join(near)} (tinyhd --help lists all)")
    rows = [f"  {name:17}{_COMMANDS[name][1]}" for name in group or _COMMANDS]
    title = "Video saliency: where human eyes go in a video."
    text = ["usage: tinyhd COMMAND [OPTIONS]", "", title, "", "commands:", *rows, *([] if group else ["", _EXAMPLES])]
    (sys.stdout if asked else sys.stderr).write("\n".join(text).rstrip() + "\n")
    return 0 if asked else 2


def _in_flags(message: str, command: Command, name: str) -> str:
    """Return a message of the library in which parameters in backticks are flags, where the command has them."""
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
