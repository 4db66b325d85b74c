"""The command ``tinyhd``: it finds the command, lets tyro read its options, and turns an error into one line."""

import logging
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from tinyhd_lib.errors import BadInput

_EXAMPLES = """examples:
  tinyhd predict video.mp4                      a grey-level PNG a frame, in video_saliency
  tinyhd predict video.mp4 --overlay seen.mp4   and an overlay video to watch
  tinyhd predict videos --decoders 2            all videos in a folder
  tinyhd live 0 --serve 8000                    what a camera sees, in the browser
  tinyhd weights list                           the models
  tinyhd export workbench-m-r4 --to onnx        a model for other software
  tinyhd data synthesise dhf1k made_up          a small data set to try the following on
  tinyhd generate dhf1k made_up --out maps      the maps of a data set
  tinyhd evaluate maps dhf1k made_up            how good they are
  tinyhd train --list                           the recipes to train a student by
  tinyhd notebooks run -f smoke                 the notebooks, headless and quick
"""

_COMMANDS = {
    "predict": "saliency maps and an overlay video of any video, or of many",
    "live": "saliency of what happens now: a camera, an address, a video, a folder",
    "generate": "maps of a whole data set, named as published",
    "evaluate": "score anybody's maps against where people looked",
    "compare": "two evaluations against each other, with a paired test",
    "train": "teach a student; what was cut off goes on",
    "ablate": "train many models alike, and compare them",
    "data synthesise": "a small made-up data set in the layout of a real one",
    "data verify": "read all of a data set and tell what is wrong; exit status 1 if so",
    "weights list": "the models that have names",
    "weights get": "download a published file, verified",
    "weights convert": "turn a published .pth into a self-describing .safetensors",
    "weights halve": "write a .safetensors of ours again in float16",
    "export": "a model as a file for other software, held against torch",
    "notebooks list": "which there are, with their sets of parameters",
    "notebooks copy": "put them into a folder of your own, with their sets of parameters",
    "notebooks run": "run them without a browser, each into a folder of its own; what is done is passed over",
    "cache show": "what is kept on this machine, and how large it is",
    "cache clear": "remove it; it is made again when it is needed",
}
"""Every command with a line of help; `tinyhd_lib.commands` has a function for each, and only then is it imported."""


_ALIASES = {("live", "--every"): "--stride"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, 1 for findings, 2 after bad input, 130 when interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = next((" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in _COMMANDS), None)
    if name is None:
        return _introduce(words)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("tinyhd_lib").setLevel(logging.INFO)
    for library in ("openvino", "onnxscript"):
        logging.getLogger(library).setLevel(logging.ERROR)
    from tinyhd_lib import commands

    command = getattr(commands, name.replace(" ", "_"))
    try:
        return _run(command, name, words[len(name.split()) :]) or 0
    except BadInput as error:
        return _refuse(_in_flags(str(error), command))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        return _refuse("interrupted; the same command goes on from there", status=130)


def _run(command: Callable[..., int | None], name: str, words: list[str]) -> int | None:
    import tyro

    words = [_ALIASES.get((name, word), word) for word in words]
    return tyro.cli(command, prog=f"tinyhd {name}", args=words, config=_config())


def _config() -> tuple[Any, ...]:
    """Flags without the names of the groups they are in, without a ``--no-`` of each, without None as a value."""
    from tyro.conf import DisallowNone, FlagCreatePairsOff, OmitArgPrefixes

    return OmitArgPrefixes, FlagCreatePairsOff, DisallowNone


def _introduce(words: list[str]) -> int:
    """Answer ``--help``, ``--version``, and what is no command."""
    if words == ["--version"]:
        sys.stdout.write(f"tinyhd {version('tinyhd')}\n")
        return 0
    group = [name for name in _COMMANDS if words and name.startswith(f"{words[0]} ")]
    asked = bool({"-h", "--help"} & set(words))
    if not words or (words[0].startswith("-") and asked) or (group and (asked or len(words) == 1)):
        width = max(map(len, _COMMANDS))
        rows = [f"  {name:{width}}  {_COMMANDS[name]}" for name in group or _COMMANDS]
        title = "Video saliency: where human eyes go in a video."
        text = "\n".join(["usage: tinyhd COMMAND [OPTIONS]", "", title, "", "commands:", *rows, ""])
        (sys.stdout if asked else sys.stderr).write(text + ("" if group else f"\n{_EXAMPLES}"))
        return 0 if asked else 2
    from difflib import get_close_matches

    near = group or get_close_matches(" ".join(words[:2]), _COMMANDS, 3, 0.4) or ["predict"]
    return _refuse(f"{' '.join(words[:2])}: no such command; near are {', '.join(near)} (tinyhd --help lists all)")


def _in_flags(message: str, command: Callable[..., Any]) -> str:
    """A message of the library, whose backticked parameters become the flags of the command that has them."""
    import tyro

    flags = set(re.findall(r"--[\w-]+", tyro.extras.get_parser(command, config=_config()).format_help()))

    def flag_of(found: re.Match[str]) -> str:
        flag = f"--{found['name'].replace('_', '-')}"
        value = "" if found["value"] in {None, "True"} else f" {found['value'].strip(chr(34))}"
        return f"{flag}{value}" if flag in flags else found[0].strip("`")

    return re.sub(r"`(?P<name>\w+)(?:=(?P<value>[^`]*))?`", flag_of, message)


def _refuse(message: str, status: int = 2) -> int:
    sys.stderr.write(f"tinyhd: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
