"""Training: from a recipe and a folder to a student.

    for entry in train(read_recipe("multi_rc"), Path("runs/m_r4")):
        ...  # every step's loss terms, every epoch's scores; an interrupted training resumes from its last checkpoint

Under torchrun every process takes its share of each batch, and only the first one writes.
"""

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from tinyhd_lib.data.clips import Clip
from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.files import alone_in
from tinyhd_lib.losses import distillation_terms, weighted_sum
from tinyhd_lib.models.checkpoints import load_model, save_model
from tinyhd_lib.records import RunRecord, check_same, read_record
from tinyhd_lib.training import checkpoint, learner, samples
from tinyhd_lib.training.processes import Processes, processes
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.teachers import Teacher, open_teacher

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_CHECKPOINTS = 120.0


class NonFiniteLossError(BadInput):
    """Loss or gradient became infinite or NaN; the message has the loss terms. The last checkpoint is unchanged."""


def train(  # noqa: PLR0913
    recipe: Recipe,
    out: Path,
    *,
    device: str = "auto",
    loaders: int = 0,
    force: bool = False,
    teacher: Teacher | None = None,
) -> Iterator[checkpoint.Entry]:
    """Train a student; the training runs as you iterate.

    Args:
        recipe: everything that decides the result.
        out: folder of the checkpoints ``last.pt`` and ``best.safetensors``, of ``log.jsonl`` and ``run.json``. A
            training of the same recipe that was interrupted there resumes; on a CPU, the result is bit-identical to
            that of an uninterrupted run.
        device: a torch device; ``triton`` for CUDA or ``fused`` for a CPU with this package's kernels where torch is
            slow; ``auto`` for the first of these that is available, with OpenVINO for the teacher on a CPU.
        loaders: worker processes that load clips; 0 to load them in this process.
        force: start over.
        teacher: to use in place of the recipe's.

    Yields:
        the entries that it also writes into the log.

    Raises:
        BadInput: data, teachers or recipe cannot be used; ``out`` holds another recipe's run; the loss is not finite.
        OSError: the disk is full; the last checkpoint is intact.
    """
    record = RunRecord("train", recipe.without_places())
    with processes(device) as group, alone_in(out) if group.first else nullcontext():
        earlier = None if force else read_record(out)
        check_same(out, earlier, record)
        if earlier and earlier.complete and (out / checkpoint.LAST_NAME).exists():
            if earlier.details.get("recipe") != recipe.to_dict():
                raise BadInput(f"{out}: complete, on data or weights from elsewhere; another `out`, or `force=True`")
            return
        group.wait()  # until all processes have read the folder
        if group.first and force:
            for name in (checkpoint.LAST_NAME, checkpoint.BEST_NAME, checkpoint.LOG_NAME):
                (out / name).unlink(missing_ok=True)
        group.wait()
        fastest = device in {"auto", "fused"} and not recipe.features  # OpenVINO gives no access to the features
        on = "openvino" if fastest and group.device.type == "cpu" else str(group.device)
        teacher = teacher or open_teacher(recipe, on)
        training = _Training(recipe, out, group, loaders, teacher)
        if group.first:
            videos = {source.video.name: source.digest for source in training.sources}
            known = {"name": teacher.name, "digest": teacher.digest} if teacher else None
            record.details |= {"recipe": recipe.to_dict(), "teacher": known, "videos": videos}
            record.write(out)
        while training.state.epoch < recipe.epochs and not stalled(checkpoint.read_log(out), recipe):
            yield from training.epoch()
            group.wait()  # for the first process, which measures
        if group.first:
            record.finish(out)


class _Training:
    """A training in progress: the student, its teacher, its data, and the state that is saved."""

    def __init__(self, recipe: Recipe, out: Path, group: Processes, loaders: int, teacher: Teacher | None) -> None:
        """Open data and student of a recipe, in the state of the last checkpoint."""
        self.recipe, self.out, self.group, self.loaders, self.teacher = recipe, out, group, loaders, teacher
        self.answering = None if recipe.features else teacher  # it answers for clips before augmentation
        state = self.state = checkpoint.read_state(out) or checkpoint.TrainingState()
        self.sources, self.measured = samples.open_sources(recipe)
        self.left_out = samples.LeftOut()
        self.student = learner.build_student(recipe).to(group.device)
        learning = learner.beside_teacher(self.student, teacher, recipe.features) if recipe.features else self.student
        compiled = group.compiled and accelerated(learning, group.device)
        # This package's CPU kernels are for float32, which is faster there; in bfloat16 torch's gradients are wrong.
        exact = group.device.type == "cpu" and (compiled or recipe.precision == "bfloat16")
        self.precision = "float32" if exact else recipe.precision
        self.optimiser = learner.build_optimiser(self.student, recipe)
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=self.precision == "float16")
        if state.model:
            logger.info("%s: resumes at epoch %d, step %d", out, state.epoch, state.steps)
            self.student.load_state_dict(state.model)
            self.optimiser.load_state_dict(state.optimiser)
            if state.scaler:  # empty if the state was saved without one
                self.scaler.load_state_dict(state.scaler)
            state.average = {name: value.to(group.device) for name, value in state.average.items()}
        elif recipe.ema:
            state.average = {name: value.clone() for name, value in self.student.state_dict().items()}
        if group.first:
            checkpoint.rewind_log(out, state.steps, state.epoch)
            if self.answering and (size := self.answering.size(samples.clip_count(self.sources, recipe))):
                logger.info("%s: up to %.1f GiB of answers in the cache", self.answering.name, size / 2**30)
        self.shared = group.share(learning)

    def epoch(self) -> Iterator[checkpoint.Entry]:
        """Run the rest of the current epoch, score the student, and save a checkpoint."""
        recipe, state = self.recipe, self.state
        drawn = samples.epoch_samples(self.sources, recipe, state.epoch)
        self._prepare([sample.clip for sample in drawn])
        batches = self.group.batches(len(drawn), recipe.batch, recipe.accumulate)
        steps = len(batches) // recipe.accumulate
        on_gpu, live = self.group.device.type == "cuda", self.answering and not recipe.cache
        loader = DataLoader(
            samples.DistillationSet(self.sources, self.answering, drawn, recipe, self.left_out),
            batch_sampler=batches[state.position * recipe.accumulate :],
            num_workers=0 if live and on_gpu else self.loaders,  # workers cannot use the teacher's GPU
            pin_memory=on_gpu,
        )
        saved, arriving = time.monotonic(), iter(loader)
        with tqdm(desc=f"epoch {state.epoch + 1}", total=steps, initial=state.position, **self.group.bars) as bar:
            while state.position < steps:
                learner.set_rates(self.optimiser, learner.rate_factor(recipe, state.epoch + state.position / steps))
                terms = self._step([next(arriving) for _ in range(recipe.accumulate)])
                state.position, state.steps = state.position + 1, state.steps + 1
                bar.update()
                bar.set_postfix({name: f"{value:.3f}" for name, value in terms.items()}, refresh=False)
                yield self._log({"epoch": state.epoch + 1, "terms": terms})
                if time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
                    self._save()
                    saved = time.monotonic()
        state.epoch, state.position = state.epoch + 1, 0
        yield from self._measure()
        if recipe.schedule == "steps" and state.epoch in recipe.milestones:
            self.group.wait()  # for the first process, which measures
            if (self.out / checkpoint.BEST_NAME).exists():
                self.student.load_state_dict(load_model(self.out / checkpoint.BEST_NAME).state_dict())
        self._save()

    def _step(self, batches: Sequence[dict[str, Tensor]]) -> dict[str, float]:
        """Make one step of the optimiser; return the mean loss terms of its batches."""
        recipe, device, means = self.recipe, self.group.device, dict[str, float]()
        for number, batch in enumerate(batches, start=1):
            targets = samples.varied(batch, recipe.size, device)
            exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
            with exact, self.group.exchange(self.shared, last=number == len(batches)):
                terms = self._terms(targets.pop("clip"), targets)
                loss = weighted_sum(terms, recipe.terms)
                self.scaler.scale(loss / len(batches)).backward()
            for name, value in {**terms, "loss": loss}.items():
                means[name] = means.get(name, 0.0) + float(value.detach()) / len(batches)
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.student.parameters(), recipe.clip_norm or math.inf)
        what = "gradient" if math.isfinite(means["loss"]) else "loss"
        if what == "loss" or not (torch.isfinite(norm) or self.scaler.is_enabled()):  # a scaler skips such a step
            remedy = f"{checkpoint.LAST_NAME} is as it was: try a lower LR, CLIP_NORM 1, or PRECISION float32"
            raise NonFiniteLossError(f"the {what} is not finite at step {self.state.steps + 1}: {means}; {remedy}")
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if recipe.ema:
            learner.update_average(self.state.average, self.student.state_dict(), recipe.ema, self.state.steps)
        return self.group.mean(means)

    def _terms(self, clip: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return every term of the loss that has a weight and that the targets allow, in float32."""
        with torch.autocast(clip.device.type, getattr(torch, self.precision), enabled=self.precision != "float32"):
            output = self.shared(clip)
        terms: dict[str, Tensor] = {}
        if self.recipe.features:
            output, taught, terms[self.recipe.features] = output
            targets |= taught
        terms |= distillation_terms(output, self.recipe.spec.names, targets)
        return {name: terms[name] for name, weight in self.recipe.terms.items() if weight and name in terms}

    def _prepare(self, clips: Sequence[Clip]) -> None:
        """Compute the teacher's answers for an epoch, each process its share; unreadable clips are left out."""
        if self.answering is None:
            return
        jobs = self.answering.prepare(self.sources, clips)[self.group.rank :: self.group.count]
        self.group.wait()  # until all have listed the missing answers, so that all share out the same list
        for job in tqdm(jobs, desc="teacher", **self.group.bars) if jobs else ():
            try:
                job()
            except BadInput as error:
                self.left_out.tell(error)
        self.group.wait()

    def _measure(self) -> Iterator[checkpoint.Entry]:
        """Score the student on the validation set, and save it if it is the best so far."""
        if not self.group.first:
            return
        state, scores = self.state, dict[str, float]()
        student = deepcopy(self.student).eval()
        if state.average:
            student.load_state_dict(state.average)
        if self.measured:
            frames = learner.frame_scores(student, self.measured, self.recipe, self.teacher, self.left_out)
            scores = learner.means_over_videos(frames)
            yield self._log({"epoch": state.epoch, "scores": scores})
        cost = cost_of(scores, self.recipe)
        if not scores or cost < state.best:
            state.best = min(cost, state.best)
            name = self.teacher.name if self.teacher else None
            told = {"trained_by": "TinyHD Workbench", "teacher": name, "epoch": state.epoch, "validation": scores}
            save_model(student, self.out / checkpoint.BEST_NAME, told | {"recipe": self.recipe.without_places()})

    def _log(self, entry: checkpoint.Entry) -> checkpoint.Entry:
        entry = {"step": self.state.steps, **entry}
        if self.group.first:
            checkpoint.append_log(self.out, entry)
        return entry

    def _save(self) -> None:
        if self.group.first:
            state = self.state
            state.model, state.optimiser = self.student.state_dict(), self.optimiser.state_dict()
            state.scaler = self.scaler.state_dict()
            state.write(self.out)


def cost_of(scores: Mapping[str, float], recipe: Recipe) -> float:
    """Return the quantity that the best student minimises: KL, or the negative of another score; inf without scores.

    Raises:
        BadInput: the score that the recipe names cannot be measured on its validation data.
    """
    if scores and recipe.best_by not in scores:
        raise BadInput(f"BEST_BY {recipe.best_by}: with these data only {', '.join(scores)} can be measured")
    return (scores["kl"] if recipe.best_by == "kl" else -scores[recipe.best_by]) if scores else math.inf


def stalled(log: Sequence[checkpoint.Entry], recipe: Recipe) -> bool:
    """Return whether the last ``patience`` scores of a log, if that is not 0, are all no better than earlier ones."""
    costs = [cost_of(entry["scores"], recipe) for entry in log if "scores" in entry]
    return 0 < recipe.patience < len(costs) and min(costs[: -recipe.patience]) <= min(costs[-recipe.patience :])


def accelerated(student: nn.Module, device: torch.device) -> bool:
    """Let a student use this package's kernels where torch is slow; if they do not compile, log it, return False."""
    try:
        if device.type == "cuda":
            from tinyhd_lib.training.gpu_layers import accelerate
        else:
            from tinyhd_lib.training.layers import accelerate
        accelerate(student)
    except Exception as error:  # noqa: BLE001  (whatever a compiler raises, torch can do without it)
        logger.warning("training with torch alone, which takes longer: our kernels cannot be compiled here (%s)", error)
        return False
    return True


def on_tensorboard(entries: Iterable[checkpoint.Entry], out: Path) -> Iterator[checkpoint.Entry]:
    """Yield a training's entries, and write them into ``out/tensorboard`` for TensorBoard.

    Raises:
        BadInput: TensorBoard is not installed.
    """
    remedy = "pip install -e '.[tensorboard]' from the checkout"
    with refusing("`tensorboard=True`: missing", ImportError, remedy=remedy):
        from torch.utils.tensorboard import SummaryWriter
    with SummaryWriter(str(out / "tensorboard")) as writer:
        for entry in entries:
            for kind in ("terms", "scores"):
                for name, value in entry.get(kind, {}).items():
                    writer.add_scalar(f"{kind}/{name}", value, entry["step"])
            yield entry
