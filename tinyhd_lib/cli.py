"""The command ``tinyhd``: it parses, calls the library, and turns an error into one line and exit status 2."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.registry import DEFAULT_WEIGHTS

_EXAMPLES = """examples:
  tinyhd predict film.mp4                       a grey-level PNG a frame, in film_saliency
  tinyhd predict film.mp4 --overlay seen.mp4    and a film to watch
  tinyhd predict films --decoders 2             all videos in a folder
  tinyhd live 0 --serve 8000                    what a camera sees, in the browser
  tinyhd weights list                           the published models
  tinyhd export workbench_m_r4 --to onnx        a model for other software
  tinyhd data synthesise dhf1k made_up          a small data set to try the following on
  tinyhd generate dhf1k made_up --out maps      the maps of a data set
  tinyhd evaluate maps dhf1k made_up            how good they are
  tinyhd train --list                           the recipes to train a student by
  tinyhd notebooks run -f smoke                 the notebooks, headless and quick
  tinyhd bench                                  how fast the models are here
"""


_KINDS = "dhf1k, ucf, hollywood2, kinetics, folder or gaze"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 0, or 2 after bad input."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("tinyhd_lib").setLevel(logging.INFO)
    for library in ("openvino", "onnxscript"):
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        # Only now is torch imported, and only where the command needs it.
        return int(resolve_name(options.run)(options))
    except BadInput as error:
        return _refuse(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        return _refuse("interrupted; the same command goes on from there", status=130)


def _refuse(message: str, status: int = 2) -> int:
    sys.stderr.write(f"tinyhd: {message}\n")
    return status


class _Parser(argparse.ArgumentParser):
    """A parser that reads a list of videos as people keep them: one a line, empty lines and remarks between."""

    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        line = arg_line.strip()
        return [line] if line and not line.startswith("#") else []


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="tinyhd",
        description="Video saliency: where human eyes go in a film.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_predict(commands)
    _add_live(commands)
    _add_weights(commands)
    _add_export(commands)
    _add_data(commands)
    _add_generate(commands)
    _add_evaluate(commands)
    _add_compare(commands)
    _add_train(commands)
    _add_ablate(commands)
    _add_notebooks(commands)
    _add_bench(commands)
    return parser


def _add_dataset(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a data set."""
    parser.add_argument("kind", metavar="KIND", help=_KINDS)
    parser.add_argument("dir", metavar="DIR", nargs="?", help="its folder (default: $TINYHD_<KIND>)")


def _add_data(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    actions = commands.add_parser("data", help="data sets: make one up, check one").add_subparsers(
        required=True, metavar="ACTION"
    )
    synthesise = actions.add_parser("synthesise", help="a small made-up data set in the layout of a real one")
    add = synthesise.add_argument
    add("kind", metavar="KIND", help=_KINDS)
    add("dir", metavar="DIR", help="a folder that does not exist yet")
    add("--videos", type=int, default=3, metavar="N", help="in each split (default: %(default)s)")
    add("--frames", type=int, default=24, metavar="N", help="of a video (default: %(default)s)")
    add("--size", default="160x96", metavar="WxH", help="in pixels (default: %(default)s)")
    add("--viewers", type=int, default=12, metavar="N", help="of a video (default: %(default)s)")
    add("--seed", type=int, default=0, help="decides everything else (default: %(default)s)")
    synthesise.set_defaults(run="tinyhd_lib.commands.data:synthesise")
    verify = actions.add_parser("verify", help="read all of a data set and tell what is wrong; exit status 1 if so")
    _add_dataset(verify)
    add = verify.add_argument
    add("--split", metavar="NAME", help="only this one")
    add("--complete", action="store_true", help="it is wrong too if it is not all that was published")
    add("--json", metavar="FILE", help="also write counts and findings there")
    add("--workers", type=int, metavar="N", help="processes (default: one a core)")
    verify.set_defaults(run="tinyhd_lib.commands.data:verify")


def _add_model(parser: argparse.ArgumentParser) -> None:
    """The options that say what runs, and where."""
    add = parser.add_argument
    add(
        "--weights",
        default=DEFAULT_WEIGHTS,
        metavar="NAME|PATH",
        help="a published name (tinyhd weights list), a .pth or a .safetensors file (default: %(default)s)",
    )
    add(
        "--device",
        default="auto",
        help="auto, fused or openvino on a CPU, or torch's cpu, cuda, cuda:N, mps, compiled[:DEVICE] "
        "(default: %(default)s)",
    )
    add(
        "--precision",
        default="float32",
        help="float32 (exact), bfloat16, float16 or int8, where the device has it (default: %(default)s)",
    )


def _add_inference(parser: argparse.ArgumentParser) -> None:
    """The options of everything that runs a model over videos."""
    add = parser.add_argument
    _add_model(parser)
    add(
        "--stride",
        type=int,
        metavar="N",
        help="frames from one window to the next, 1 to 16 (default: 1 for S, 16 for M, as published)",
    )
    add("--batch", type=int, metavar="N", help="windows a forward pass (default: what the device likes best)")
    add("--decoders", type=int, default=1, metavar="N", help="of many videos, how many at once (default: %(default)s)")
    add("--json", metavar="FILE", help="of many videos, also write there how long each took; a file a torchrun rank")
    add("--force", action="store_true", help="do everything anew, over what is there")


def _add_style(parser: argparse.ArgumentParser) -> None:
    """The options that say how a map is drawn over its frame."""
    add = parser.add_argument
    add(
        "--style",
        default="overlay",
        choices=("overlay", "side-by-side", "map", "contours"),
        help="how the film is drawn (default: %(default)s)",
    )
    add("--alpha", default=0.7, type=float, help="opacity of the overlay, 0 to 1 (default: %(default)s)")
    add("--floor", default=0.0, type=float, help="part of white below which it is transparent (default: %(default)s)")
    add("--colormap", default="inferno", help="any matplotlib colour map (default: %(default)s)")


def _add_generate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("generate", help="maps of a whole data set, named as published")
    add = parser.add_argument
    _add_dataset(parser)
    add("--out", required=True, metavar="DIR", help="where a folder a video goes")
    add("--split", metavar="NAME", help="of the data set, or all (default: the one that its papers evaluate on)")
    add(
        "--maps",
        default="png",
        choices=("png", "png16", "npz"),
        help="map files, as for predict (default: %(default)s)",
    )
    _add_inference(parser)
    parser.set_defaults(run="tinyhd_lib.commands.generate:generate")


def _add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    predict = commands.add_parser(
        "predict", help="saliency maps and an overlay film of any video, or of many", fromfile_prefix_chars="@"
    )
    add = predict.add_argument
    add(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="video file, folder of frames, folder of videos at any depth, or @FILE: a list of these, one a line",
    )
    add(
        "--out",
        metavar="DIR",
        help="where map files and run.json go, with a folder a video if there are several (default: VIDEO_saliency)",
    )
    add(
        "--maps",
        default="png",
        choices=("png", "png16", "npz", "none"),
        help="map files: 8-bit grey (as published), 16-bit grey, raw float32, or none (default: %(default)s)",
    )
    add("--overlay", metavar="FILE.mp4", help="also write a film; a folder of films if there are several videos")
    _add_style(predict)
    add(
        "--normalise",
        default="frame",
        choices=("frame", "clip", "none"),
        help="what is black and white: the extremes of each frame (as published), of the video, or 0 and 1",
    )
    _add_inference(predict)
    predict.set_defaults(run="tinyhd_lib.commands.predict:predict_videos")


def _add_live(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("live", help="saliency of what happens now: a camera, an address, a film, a folder")
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="a camera's number, an rtsp or http address, a film (played at its own speed), or a folder that fills",
    )
    _add_model(parser)
    add(
        "--stride",
        "--every",
        type=int,
        metavar="N",
        help="M: frames from one pass to the next, 1 to 16 (default: 16); "
        "S: a map for every Nth frame (default: as often as the machine can follow)",
    )
    add(
        "--drop",
        choices=("latest", "block"),
        help="when frames come too fast, drop the oldest, or let the source wait "
        "(default: block for a folder and --speed 0, else latest)",
    )
    add("--queue", type=int, metavar="N", help="frames that may wait (default: those of one pass)")
    add("--serve", metavar="[HOST:]PORT", help="show it on a page for the browser (default host: this machine alone)")
    add("--out", metavar="DIR", help="also write the maps there, a grey-level PNG a frame")
    add("--overlay", metavar="FILE.mp4", help="also write a film of what was seen")
    _add_style(parser)
    add("--seconds", type=float, metavar="N", help="stop after so many (default: when the source ends, or at Ctrl-C)")
    add("--speed", type=float, default=1.0, help="of a film; 0 is as fast as it can be read (default: %(default)s)")
    add(
        "--idle",
        type=float,
        metavar="SECONDS",
        help="a folder is full after this time without an image (default: never)",
    )
    add("--json", metavar="FILE", help="also write the figures there, second by second")
    parser.set_defaults(run="tinyhd_lib.commands.live:live")


def _add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("evaluate", help="score anybody's maps against where people looked")
    add = parser.add_argument
    add(
        "predictions", metavar="PREDICTIONS", help="a folder with a folder of images or .npz, or a film, for each video"
    )
    _add_dataset(parser)
    add("--split", metavar="NAME", help="of the data set, or all (default: the one that its papers evaluate on)")
    add("--out", metavar="DIR", help="where tables, report.html and summary.json go (default: PREDICTIONS_scores)")
    add(
        "--dialect",
        default="dhf1k",
        choices=("dhf1k", "published"),
        help="how to compute and average: the benchmark's way or the paper's (default: %(default)s)",
    )
    add(
        "--averaging",
        choices=("pooled", "per-video"),
        help="one mean over all frames, or over videos of their means (default: the dialect's)",
    )
    add("--every", type=int, default=1, metavar="N", help="score every Nth frame only")
    add("--min-fixations", type=int, default=1, metavar="N", help="leave out frames with fewer fixated pixels")
    add("--sigma", type=float, metavar="DEGREES", help="how far gaze points spread in their maps (default: 1)")
    add("--first", type=int, metavar="N", help="your files are numbered, and the first frame has this number")
    add(
        "--allow-missing",
        action="append",
        default=[],
        metavar="VIDEO|VIDEO/FRAME",
        help="name or pattern of videos or frames that may lack a map, as often as needed; else that is an error",
    )
    add("--table", default="parquet", choices=("parquet", "csv"), help="the table of frames (default: %(default)s)")
    add("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)s)")
    add("--workers", type=int, metavar="N", help="processes (default: one a core)")
    add("--force", action="store_true", help="over what another evaluation left in the folder")
    parser.set_defaults(run="tinyhd_lib.commands.evaluate:evaluate")


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("compare", help="two evaluations against each other, with a paired test")
    parser.add_argument("first", metavar="A", help="the folder of an evaluation")
    parser.add_argument("second", metavar="B", help="the folder of another one of the same data")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    parser.set_defaults(run="tinyhd_lib.commands.evaluate:compare")


def _add_training(parser: argparse.ArgumentParser) -> None:
    """The options of everything that trains."""
    add = parser.add_argument
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change an entry of the recipe, as often as needed, such as EPOCHS=2 or SIZE='[96, 128]'",
    )
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add("--workers", type=int, default=0, metavar="N", help="processes that prepare clips (default: %(default)s)")
    add("--force", action="store_true", help="begin anew, over what is there")


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("train", help="teach a student; what was cut off goes on")
    add = parser.add_argument
    add("--recipe", metavar="NAME|FILE", help="one of ours (--list) or a YAML file")
    add("--list", action="store_true", help="the names of our recipes")
    add("--out", metavar="DIR", help="checkpoints, log and record (default: runs/RECIPE)")
    add("--tensorboard", action="store_true", help="also write DIR/tensorboard")
    _add_training(parser)
    parser.set_defaults(run="tinyhd_lib.commands.train:train")


def _add_ablate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("ablate", help="train many models alike, and compare them")
    add = parser.add_argument
    add(
        "models",
        nargs="+",
        metavar="SWEEP|ROW",
        help="decoders, outputs, reductions or reductions_single (the paper's comparisons), or model rows",
    )
    add("--recipe", required=True, metavar="NAME|FILE", help="how each of them is trained")
    add("--out", default="runs/ablation", metavar="DIR", help="a folder a model, and the table (default: %(default)s)")
    _add_training(parser)
    parser.set_defaults(run="tinyhd_lib.commands.train:ablate")


def _add_weights(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    weights = commands.add_parser("weights", help="list, fetch and convert checkpoints")
    actions = weights.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the published files")
    listing.add_argument("--markdown", action="store_true", help="as the README has it")
    listing.set_defaults(run="tinyhd_lib.commands.weights:list_weights")
    get = actions.add_parser("get", help="download a published file, verified")
    get.add_argument("name", metavar="NAME")
    get.set_defaults(run="tinyhd_lib.commands.weights:get_weights")
    convert = actions.add_parser("convert", help="turn a published .pth into a self-describing .safetensors")
    convert.add_argument("file", metavar="FILE")
    convert.add_argument("--out", metavar="FILE.safetensors", help="default: beside FILE")
    convert.set_defaults(run="tinyhd_lib.commands.weights:convert_weights")
    halve = actions.add_parser("halve", help="write a .safetensors of ours again in float16")
    halve.add_argument("file", metavar="FILE")
    halve.add_argument("out", metavar="FILE.safetensors")
    halve.set_defaults(run="tinyhd_lib.commands.weights:halve_weights")


def _add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("export", help="a model as a file for other software, held against torch")
    add = parser.add_argument
    add("model", metavar="NAME|PATH", help="a name (tinyhd weights list), a .pth or a .safetensors file")
    add("--to", required=True, choices=("onnx", "openvino", "torch"), help="the kind of file")
    add(
        "--input",
        default="clips",
        choices=("clips", "frames"),
        help="what it takes: clips (N, 3, 16, 192, 256) float32, preprocessed; or frames (N, 16, H, W, 3) uint8 RGB of "
        "any size, with preprocessing inside (default: %(default)s)",
    )
    add("--out", metavar="FILE", help="default: NAME.onnx, .xml or .pt2")
    add("--force", action="store_true", help="replace what is there")
    parser.set_defaults(run="tinyhd_lib.commands.export:export")


def _add_notebooks(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    notebooks = commands.add_parser("notebooks", help="run the notebooks without a browser")
    actions = notebooks.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="which there are, with their sets of parameters")
    listing.set_defaults(run="tinyhd_lib.commands.notebooks:show_list")
    copier = actions.add_parser("copy", help="ours, and their sets of parameters, into a folder")
    copier.add_argument("folder", metavar="DIR", help="where they go")
    copier.set_defaults(run="tinyhd_lib.commands.notebooks:copy")
    runner = actions.add_parser("run", help="each into a folder of its own; what is done is passed over")
    add = runner.add_argument
    add("names", nargs="*", metavar="NAME", help="a name, the beginning of one, or a path (default: all)")
    add(
        "-f",
        dest="file",
        action="append",
        default=[],
        metavar="FILE|SET",
        help="parameters: a YAML file, or the name of a set, such as smoke for notebooks/parameters/02_smoke.yaml",
    )
    add(
        "-p",
        dest="parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="one parameter, its value as YAML writes it; wins over -f",
    )
    add("--out", metavar="DIR", help="where a folder a notebook goes (default: runs/notebooks, or runs/notebooks/SET)")
    add("--timeout", type=float, metavar="SECONDS", help="that a notebook may take (default: no end)")
    add("--jobs", type=int, default=1, metavar="N", help="notebooks at once, of one thread each (default: %(default)s)")
    add("--force", action="store_true", help="run what is done already, too")
    for action in (listing, runner):
        action.add_argument(
            "--notebooks", metavar="DIR", help="where they lie (default: those that come with the library)"
        )
    runner.set_defaults(run="tinyhd_lib.commands.notebooks:run")


def _add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bench = commands.add_parser("bench", help="measure speed and memory, against plain code in the same run")
    add = bench.add_argument
    add(
        "--models",
        nargs="+",
        metavar="ROW|NAME|FILE",
        help="model rows, or weights of ours or a checkpoint's path (default: the published r4, r2 and r1)",
    )
    add(
        "--devices",
        nargs="+",
        metavar="DEVICE",
        help="each against torch eager in float32 on the same processor (default: fused openvino)",
    )
    add("--precisions", nargs="+", metavar="NAME", help="of every device, as far as it has them (default: float32)")
    add(
        "--batches", nargs="+", type=int, metavar="N", help="windows a forward pass, clips a training step (default: 1)"
    )
    add("--video", metavar="VIDEO", help="with the forward passes, time tinyhd predict: film, maps alone, no files")
    add("--forward", action="store_true", help="measure forward passes: the default, unless one of these is asked for:")
    add("--training", action="store_true", help="a training step, and an epoch with and without a teacher's cache")
    add("--metrics", action="store_true", help="the metrics, against plain loops")
    add("--viewer", action="store_true", help="how long the viewer takes for a frame of --video")
    add("--repeats", type=int, metavar="N", help="timed turns (default: 10; 3 of training steps, 1 of whole processes)")
    add("--quick", action="store_true", help="everything that is cheap, small and twice: checks that it runs")
    add("--json", metavar="FILE", help="also write the figures there")
    add("--from", dest="kept", metavar="FILE", help="measure nothing: take the figures from what --json wrote")
    add("--markdown", action="store_true", help="print the short table of the forward passes, as the README has it")
    add("--plot", metavar="FILE.png|FILE.svg", help="also draw accuracy against speed")
    bench.set_defaults(run="tinyhd_lib.commands.bench:run_bench")


if __name__ == "__main__":
    sys.exit(main())
