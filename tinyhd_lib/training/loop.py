"""Training: a recipe and a folder in, a student out. One epoch fits one screen.

    for entry in train(read_recipe("multi_rc"), Path("runs/m_r4")):
        ...  # every step's terms, every epoch's scores; leave it whenever you like, it goes on from there

Under torchrun every process takes its share of each batch, and only the first one writes.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from tinyhd_lib.data.clips import Clip, Source
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import alone_in, write_atomically
from tinyhd_lib.losses import DistillationLoss, distillation_terms, hint_error
from tinyhd_lib.models.checkpoints import load_model, save_model
from tinyhd_lib.records import RECORD_NAME, hardware, versions
from tinyhd_lib.training.build import build_student, build_teacher, hint_channels
from tinyhd_lib.training.checkpoint import (
    BEST_NAME,
    LAST_NAME,
    LOG_NAME,
    TrainingState,
    append_log,
    check_recipe,
    read_state,
    rewind_log,
)
from tinyhd_lib.training.dataset import DistillationSet, LeftOut, open_sources
from tinyhd_lib.training.learner import Learner
from tinyhd_lib.training.optimise import build_optimiser, rate_factor, set_rates, update_average
from tinyhd_lib.training.processes import Processes, processes
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.sampling import clip_counts, epoch_samples, validation_clips
from tinyhd_lib.training.teachers import Teacher
from tinyhd_lib.training.validate import validate

logger = logging.getLogger(__name__)

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_SECONDS_BETWEEN_CHECKPOINTS = 120.0

Entry = dict[str, Any]
"""A line of the log: ``step``, ``epoch`` and either ``loss`` and ``terms``, or ``scores``."""


class NonFiniteLossError(BadInput):
    """Loss or gradient became infinite or NaN; the message has the terms. The last checkpoint is as it was."""


def train(  # noqa: PLR0913
    recipe: Recipe,
    out: Path,
    *,
    device: str = "auto",
    workers: int = 0,
    force: bool = False,
    teacher: Teacher | None = None,
) -> Iterator[Entry]:
    """Train a student; it happens while you iterate.

    Args:
        recipe: what decides the result.
        out: folder of the checkpoints ``last.pt`` and ``best.safetensors``, of ``log.jsonl`` and ``run.json``. What was
            begun there with the same recipe goes on, on a CPU to the very bits of a run without interruption.
        device: a torch device; ``auto`` for CUDA where there is one, else a CPU, on which OpenVINO runs the teacher.
        workers: processes that prepare clips; none to do it in between.
        force: begin anew.
        teacher: somebody else than the recipe's.

    Yields:
        what it also writes into the log.

    Raises:
        BadInput: data, teachers or recipe cannot be used; another recipe was begun there; the loss is not finite.
        OSError: the disk is full; the last checkpoint is whole.
    """
    with processes(device) as group, alone_in(out) if group.first else nullcontext():
        if group.first:
            out.mkdir(parents=True, exist_ok=True)
            if force:
                for name in (LAST_NAME, BEST_NAME, LOG_NAME):
                    (out / name).unlink(missing_ok=True)
        group.wait()
        answering = "openvino" if device == "auto" and group.device.type == "cpu" else str(group.device)
        run = _Run.begin(recipe, out, group, workers, teacher or build_teacher(recipe, answering))
        while run.state.epoch < recipe.epochs:
            yield from run.epoch()


@dataclass
class _Run:
    """A training under way."""

    recipe: Recipe
    out: Path
    group: Processes
    workers: int
    sources: Sequence[Source]
    measured: Sequence[Source]
    teacher: Teacher | None
    learner: Learner
    shared: nn.Module
    loss: DistillationLoss
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    state: TrainingState
    left_out: LeftOut = field(default_factory=LeftOut)

    @classmethod
    def begin(cls, recipe: Recipe, out: Path, group: Processes, workers: int, teacher: Teacher | None) -> "_Run":
        """Data and student of a recipe, as they were left."""
        state = read_state(out)
        if state is not None:
            check_recipe(out, state, recipe.to_dict())
        sources, measured = open_sources(recipe)
        torch.manual_seed(recipe.seed)
        student = build_student(recipe)
        learner = Learner(student, hint_channels(recipe), only_hints=recipe.only_hints)
        channels_last(learner.to(group.device)).train()
        optimiser = build_optimiser(learner, recipe)
        scaler = torch.amp.GradScaler(group.device.type, enabled=recipe.precision == "float16")
        if state is None:
            average = {name: value.clone() for name, value in student.state_dict().items()} if recipe.ema else {}
            state = TrainingState(
                learner.state_dict(), average, optimiser.state_dict(), scaler.state_dict(), recipe=recipe.to_dict()
            )
        else:
            logger.info("%s: goes on at epoch %d, step %d", out, state.epoch, state.steps)
            learner.load_state_dict(state.model)
            optimiser.load_state_dict(state.optimiser)
            scaler.load_state_dict(state.scaler)
            state.average = {name: value.to(group.device) for name, value in state.average.items()}
        if group.first:
            rewind_log(out, state.steps, state.epoch)
            _write_record(out, recipe, sources, teacher, complete=state.epoch == recipe.epochs)
            if teacher is not None:
                _tell_size(teacher, sources, recipe)
        if recipe.compile:
            learner.compile()
        loss = DistillationLoss(recipe.terms)
        return cls(
            recipe, out, group, workers, sources, measured, teacher, learner, group.share(learner), loss, optimiser,
            scaler, state,
        )  # fmt: skip

    def epoch(self) -> Iterator[Entry]:
        """The rest of the epoch that is under way, its scores, and its checkpoint."""
        recipe, state = self.recipe, self.state
        samples = epoch_samples(self.sources, recipe, state.epoch)
        self._prepare([sample.clip for sample in samples])
        batches = self.group.batches(len(samples), recipe.batch, recipe.accumulate)
        steps = len(batches) // recipe.accumulate
        loader = DataLoader(
            DistillationSet(self.sources, self.teacher, samples, recipe, self.left_out),
            batch_sampler=batches[state.position * recipe.accumulate :],
            num_workers=self.workers,
            pin_memory=self.group.device.type == "cuda",
        )
        saved = time.monotonic()
        arriving = iter(loader)
        with tqdm(
            total=steps, initial=state.position, desc=f"epoch {state.epoch + 1}", disable=not self.group.first
        ) as bar:
            while state.position < steps:
                set_rates(self.optimiser, rate_factor(recipe, state.epoch + state.position / steps))
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
            if (self.out / BEST_NAME).exists():
                self.learner.student.load_state_dict(load_model(self.out / BEST_NAME).state_dict())
        self._save()

    def _step(self, batches: Sequence[dict[str, Tensor]]) -> dict[str, float]:
        """One step of the optimiser; answers the mean terms of its batches."""
        recipe, device = self.recipe, self.group.device
        total: dict[str, float] = {}
        for number, batch in enumerate(batches, start=1):
            targets = {name: values.to(device, non_blocking=True) for name, values in batch.items()}
            clip = targets.pop("clip").contiguous(memory_format=torch.channels_last_3d)
            with right_gradients(recipe, device), self.group.exchange(self.shared, last=number == len(batches)):
                with torch.autocast(device.type, _PRECISIONS[recipe.precision], enabled=recipe.precision != "float32"):
                    output, levels = self.shared(clip)
                terms = distillation_terms(output, recipe.spec.decoders, targets) if output else {}
                if recipe.hints:
                    terms["levels"] = hint_error(levels, targets)
                said = {name: float(value.detach()) for name, value in terms.items() if name in self.loss.weights}
                if not said:
                    wanted = ", ".join(self.loss.weights)
                    raise BadInput(f"TERMS: of {wanted} these data and teachers give none, nothing would be learnt")
                loss = self.loss(terms)
                if not torch.isfinite(loss):
                    raise self._not_finite("loss", said)
                self.scaler.scale(loss / len(batches)).backward()
            for name, value in {**said, "loss": float(loss.detach())}.items():
                total[name] = total.get(name, 0.0) + value / len(batches)
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.learner.parameters(), recipe.clip_norm or math.inf)
        if not (torch.isfinite(norm) or self.scaler.is_enabled()):  # a scaler passes over such a step
            raise self._not_finite("gradient", total)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if recipe.ema:
            update_average(self.state.average, self.learner.student.state_dict(), recipe.ema, self.state.steps)
        return self.group.mean(total)

    def _not_finite(self, what: str, terms: dict[str, float]) -> NonFiniteLossError:
        return NonFiniteLossError(
            f"the {what} is not finite at step {self.state.steps + 1}: {terms}; {LAST_NAME} is as it was: "
            "try a lower LR, CLIP_NORM 1, or PRECISION float32"
        )

    def _prepare(self, clips: Sequence[Clip]) -> None:
        """Have the teacher's answers to an epoch computed, each process its share."""
        if self.teacher is None:
            return
        jobs = self.teacher.prepare(self.sources, clips)[self.group.rank :: self.group.count]
        self.group.wait()  # until all have counted what is missing: who came late would find less to share
        self._do(tqdm(jobs, desc="teacher", disable=not self.group.first or not jobs))
        self.group.wait()

    def _do(self, jobs: Iterable[Callable[[], None]]) -> None:
        for job in jobs:
            try:
                job()
            except BadInput as error:
                self.left_out.tell(error)

    def _measure(self) -> Iterator[Entry]:
        """Scores on the validation set; the best student so far is kept."""
        if not self.group.first:
            return
        state = self.state
        student = build_student(self.recipe, fresh=True).to(self.group.device)
        student.load_state_dict(state.average or self.learner.student.state_dict())
        scores: dict[str, float] = {}
        if self.measured:
            clips = validation_clips(self.measured, self.recipe.validation_clips)
            if self.teacher is not None:
                unlabelled = [clip for clip in clips if not self.measured[clip.video].labelled]
                self._do(self.teacher.prepare(self.measured, unlabelled))
            view = self.recipe.validation_view
            scores = validate(student.eval(), self.measured, clips, self.teacher, view, left_out=self.left_out)
            yield self._log({"epoch": state.epoch, "scores": scores})
        if not scores or scores["kl"] < state.best:
            state.best = scores.get("kl", state.best)
            save_model(student, self.out / BEST_NAME, self._provenance(scores))

    def _log(self, entry: Entry) -> Entry:
        entry = {"step": self.state.steps, **entry}
        if self.group.first:
            append_log(self.out, entry)
        return entry

    def _save(self) -> None:
        if not self.group.first:
            return
        state = self.state
        state.model, state.optimiser = self.learner.state_dict(), self.optimiser.state_dict()
        state.scaler = self.scaler.state_dict()
        state.write(self.out)
        if state.epoch == self.recipe.epochs:
            _write_record(self.out, self.recipe, self.sources, self.teacher, complete=True)

    def _provenance(self, scores: dict[str, float]) -> dict[str, Any]:
        return {
            "trained_by": "TinyHD Workbench",
            "teacher": self.teacher.name if self.teacher else None,
            "recipe": self.recipe.without_places(),
            "epoch": self.state.epoch,
            "validation": scores,
        }


@contextmanager
def right_gradients(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Around forward and backward passes: without oneDNN where it is wrong.

    In bfloat16 on a CPU its version 3.12 (torch 2.14) takes gradients of depthwise convolutions over two frames from
    memory that nobody wrote.
    """
    wrong = device.type == "cpu" and recipe.precision == "bfloat16"
    used, *_ = torch.backends.mkldnn.set_flags(_enabled=False if wrong else None, _fp32_precision=None)
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(_enabled=used, _fp32_precision=None)


def channels_last(module: nn.Module) -> nn.Module:
    """The module, the weights of its 3-D convolutions laid out as they are computed fastest."""
    for parameter in module.parameters():
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    return module


def _tell_size(teacher: Teacher, sources: Sequence[Source], recipe: Recipe) -> None:
    """Say what keeping all that the teacher will ever be asked costs."""
    size = teacher.size(clip_counts(sources, recipe))
    if size:
        logger.info("%s: up to %.1f GiB of answers in the cache", teacher.name, size / 2**30)


def _write_record(
    out: Path, recipe: Recipe, sources: Sequence[Source], teacher: Teacher | None, *, complete: bool
) -> None:
    record = {
        "complete": complete,
        "recipe": recipe.to_dict(),
        "teacher": {"name": teacher.name, "digest": teacher.digest} if teacher else None,
        "videos": {source.video.name: source.digest for source in sources},
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": hardware(),
    }
    write_atomically(out / RECORD_NAME, json.dumps(record, indent=2).encode())
