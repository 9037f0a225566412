"""The train stage: prepared/ in; history.csv, checkpoint.pt, model.onnx, config.toml and trained.json out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from galclass import __version__
from galclass.atomic_files import write_text
from galclass.config import Config, TrainConfig, config_to_toml
from galclass.errors import ConfigError, TrainingError
from galclass.folder_lock import alone_in
from galclass.tracking import log_training, require_tracking
from galclass.train import few
from galclass.train.calibrated import calibrated_model
from galclass.train.checkpoint import (
    CHECKPOINT,
    load_checkpoint,
    read_json,
    save_checkpoint,
    weights_path,
    write_history,
    write_json,
)
from galclass.train.dataset import TrainingData, open_training_data, require_trainable
from galclass.train.device import Workers, advice_on_threads, prepared_machine
from galclass.train.export import export_onnx
from galclass.train.progress import Reporter, add_row, open_board
from galclass.train.set_aside import take_turns
from galclass.train.starting import start_sha256, with_topology_of_start
from galclass.train.teacher import predictions_of
from galclass.train.trainer import Trainer

_WITHOUT_EFFECT = ("threads", "checkpoint_s", "tensorboard", "mlflow", "cache", "seeds")
"""Options that do not change the weights (threads: up to rounding), so that a run may resume with other values."""


@dataclass(frozen=True)
class TrainSummary:
    """Summary of the train stage.

    Attributes
    ----------
    objects : int
        Labelled objects of the training split.
    iterations, best_iteration : int
        Epochs done, and the one whose weights are kept.
    metrics : dict
        Validation metrics of the best epoch.
    seconds, images_per_s : float
        Time of the whole stage, and cutouts per second within the steps.
    model : Path
        The ONNX file.
    spread : dict
        Mean and standard deviation of each metric over the seeds; empty for one seed.
    skipped : bool
        Whether everything was up to date.
    remark : str
        A remark about few labels; usually empty.
    """

    objects: int
    iterations: int
    best_iteration: int
    metrics: dict[str, float]
    seconds: float
    images_per_s: float
    model: Path
    spread: dict[str, list[float]]
    skipped: bool = False
    remark: str = ""

    def __str__(self) -> str:
        if self.skipped:
            return f"train: up to date ({self.model})"
        text = (
            f"train: {self.objects} objects, {self.iterations} epochs in {self.seconds:.1f} s"
            f" ({self.images_per_s:,.0f} images/s); best {self.best_iteration}: validation accuracy"
            f" {self.metrics['validation_accuracy']:.3f}, loss {self.metrics['validation_loss']:.3f}"
        )
        if self.spread:
            mean, deviation = self.spread["validation_accuracy"]
            text += f"; over the seeds {mean:.3f} +- {deviation:.3f}"
        return f"{text}\n{self.remark}" if self.remark else text


def train(config: Config, *, resume: bool = False, progress: bool = True) -> TrainSummary:
    """Train on the workspace's prepared folder and write `training/`.

    A finished run with the same data and options is skipped; an interrupted one resumes where it stopped, with the
    same weights as if it had not been interrupted.

    Parameters
    ----------
    config : Config
        The `train` section, the seed and the workspace.
    resume : bool
        Insist on resuming: it is an error if there is no checkpoint of these inputs.
    progress : bool
        Whether to show bars and one line per epoch.

    Returns
    -------
    TrainSummary

    Raises
    ------
    TrainingError
        If nothing is prepared, a split is empty or has one class, the loss is not finite, `resume` is impossible, or
        another process trains in the same folder.
    TrackingError
        If the finished run cannot be logged.
    KeyboardInterrupt
        After Ctrl-C, once the state is saved.
    """
    if config.train.seeds < 1:
        raise ConfigError("there must be at least one seed", where="train.seeds", got=config.train.seeds)
    config = with_topology_of_start(config)
    prepared = config.workspace_path / "prepared"
    folder = config.workspace_path / "training"
    data = open_training_data(prepared)
    require_trainable(data, str(prepared), raw=config.train.type == "votes")
    if config.train.type != "votes":
        few.require_labels(data, str(prepared))
    fingerprint = inputs_sha256(data, config, seeds=config.train.seeds)
    require_tracking(config)
    if not resume and (done := _finished_before(folder, fingerprint)) is not None:
        log_training(config)
        return done
    started = time.perf_counter()
    if progress and (busy := advice_on_threads(config.train.threads)):
        sys.stderr.write(f"{busy}\n")
    refused = TrainingError(
        "another process trains in this folder", where=str(folder), advice="wait for it, or use another workspace"
    )
    with prepared_machine(config.train) as workers, alone_in(folder, refused) if workers.leads else nullcontext():
        if config.train.seeds == 1:
            summary = _train_seed(data, config, folder, resume, Reporter(progress and workers.leads), workers)
        else:
            summary = _train_seeds(data, config, folder, resume, progress, workers)
        summary = replace(summary, seconds=time.perf_counter() - started)
        if workers.leads:
            write_text(folder / "config.toml", config_to_toml(config))
            _remember(folder, fingerprint, summary)
    if workers.leads:
        log_training(config)
    return summary


def inputs_sha256(data: TrainingData, config: Config, *, seeds: int = 1) -> str:
    """Return a hash of everything that decides the weights: data, options other than defaults, seed, version."""
    usual = dataclasses.asdict(TrainConfig())
    given = dataclasses.asdict(config.train)
    options = {key: value for key, value in given.items() if key not in _WITHOUT_EFFECT and value != usual[key]}
    if "num_epochs" in options:  # checkpoints hashed under the former name stay valid
        options["num_iterations"] = options.pop("num_epochs")
    options["seeds"] = seeds
    if config.train.initial_weights is not None and (start := start_sha256(config.train.initial_weights)):
        options["initial_weights"] = start
    if config.train.teacher is not None and (asked := weights_path(config.train.teacher)).is_file():
        options["teacher"] = hashlib.sha256(asked.read_bytes()).hexdigest()
    if config.train.type == "votes":
        options["raw_votes"] = data.raw_sha256()
        if config.train.observation_sources:
            options["transition"] = 2  # one per source: a checkpoint with one for all cannot resume
    text = json.dumps([data.sha256(), options, config.seed, __version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _train_seed(
    data: TrainingData, config: Config, folder: Path, resume: bool, reporter: Reporter, workers: Workers
) -> TrainSummary:
    teacher = predictions_of(config.train, data, folder)
    trainer = Trainer(data, config.train, seed=config.seed, workers=workers, teacher=teacher)
    fingerprint = inputs_sha256(data, config)
    _set_aside(folder, fingerprint, resume, reporter.shown, workers)
    state = load_checkpoint(folder / CHECKPOINT, fingerprint, must_match=resume)
    if state is not None:
        trainer.load_state(state)
    with reporter.run(trainer), _deferred_interrupt() as interrupted:
        _Saver(trainer, folder, fingerprint, reporter, interrupted).run()
    row = trainer.at.history[trainer.at.best_iteration - 1]
    if workers.leads:
        module, signature = calibrated_model(trainer, config)
        export_onnx(module, signature, folder / "model.onnx")
    return TrainSummary(
        objects=trainer.objects,
        iterations=trainer.at.iteration,
        best_iteration=trainer.at.best_iteration,
        metrics={key: value for key, value in row.items() if key.startswith("validation_")},
        seconds=0.0,
        images_per_s=float(np.median([row["images_per_s"] for row in trainer.at.history])),
        model=folder / "model.onnx",
        spread={},
        remark=few.remark(trainer.objects, trainer.at.iteration, config.train.num_epochs),
    )


def _set_aside(folder: Path, fingerprint: str, insist: bool, shown: bool, workers: Workers) -> None:
    """Let the process that leads put this run's checkpoint in place, and say where an unfinished one is now."""
    kept = take_turns(folder, fingerprint, insist=insist) if workers.leads else None
    workers.wait()
    if kept and shown:
        sys.stderr.write(
            f"the unfinished run of other data or options is kept in {kept}: start it again to resume it\n"
        )


class _Saver:
    """Runs a trainer to its end and keeps its files up to date."""

    def __init__(
        self, trainer: Trainer, folder: Path, fingerprint: str, reporter: Reporter, interrupted: threading.Event
    ) -> None:
        self.trainer, self.folder, self.fingerprint = trainer, folder, fingerprint
        self.reporter, self.interrupted = reporter, interrupted
        wanted = trainer.config.tensorboard and trainer.workers.leads
        self.board = open_board(folder / "tensorboard") if wanted else None
        self.saved = time.monotonic()

    def run(self) -> None:
        while not self.trainer.finished:
            row = self.trainer.run_iteration(self.after_step)
            self.save()
            self.reporter.iteration(row)
            if self.board is not None:
                add_row(self.board, row)
            if self.interrupted.is_set():
                raise KeyboardInterrupt

    def after_step(self, step: int, steps: int) -> None:
        self.reporter.step(step, steps)
        if step == steps:
            return  # the epoch is saved after its validation
        if self.interrupted.is_set():
            self.save()
            raise KeyboardInterrupt
        if time.monotonic() - self.saved > self.trainer.config.checkpoint_s:
            self.save()

    def save(self) -> None:
        if self.trainer.workers.leads:
            state = {"inputs_sha256": self.fingerprint, **self.trainer.state()}
            save_checkpoint(self.folder / CHECKPOINT, state)
            write_history(self.folder / "history.csv", self.trainer.at.history)
        self.saved = time.monotonic()


def finished_training(config: Config) -> TrainSummary | None:
    """Return the summary of a finished run with this data and these options; None if there is work left.

    Raises
    ------
    TrainingError
        If nothing is prepared, or a split is empty or has one class.
    """
    config = with_topology_of_start(config)
    prepared = config.workspace_path / "prepared"
    data = open_training_data(prepared)
    require_trainable(data, str(prepared), raw=config.train.type == "votes")
    return _finished_before(config.workspace_path / "training", inputs_sha256(data, config, seeds=config.train.seeds))


def _train_seeds(
    data: TrainingData, config: Config, folder: Path, resume: bool, progress: bool, workers: Workers
) -> TrainSummary:
    """Train each seed in a separate folder; keep the files of the one with the smallest validation loss."""
    _set_aside(folder, inputs_sha256(data, config, seeds=config.train.seeds), False, progress, workers)
    summaries = []
    for offset in range(config.train.seeds):
        one = replace(config, seed=config.seed + offset, train=replace(config.train, seeds=1))
        own = folder / f"seed_{one.seed}"
        done = _finished_before(own, inputs_sha256(data, one))
        if done is None:
            insist, resume = resume, False  # the seeds after the interrupted one have not started
            done = _train_seed(data, one, own, insist, Reporter(progress and workers.leads), workers)
            if workers.leads:
                _remember(own, inputs_sha256(data, one), done)
        summaries.append(done)
    best = min(summaries, key=lambda summary: summary.metrics["validation_loss"])
    if workers.leads:
        for name in ("model.onnx", "history.csv", CHECKPOINT):
            shutil.copyfile(best.model.with_name(name), folder / name)
    values = {key: [summary.metrics[key] for summary in summaries] for key in best.metrics}
    spread = {key: [float(np.mean(each)), float(np.std(each, ddof=1))] for key, each in values.items()}
    return replace(best, model=folder / "model.onnx", spread=spread, skipped=False)


def _finished_before(folder: Path, fingerprint: str) -> TrainSummary | None:
    remembered = read_json(folder / "trained.json")
    model = folder / "model.onnx"
    if remembered is None or remembered.get("inputs_sha256") != fingerprint or not model.is_file():
        return None
    if hashlib.sha256(model.read_bytes()).hexdigest() != remembered.get("model_sha256"):
        return None
    return TrainSummary(**remembered["summary"], model=model, skipped=True)


def _remember(folder: Path, fingerprint: str, summary: TrainSummary) -> None:
    plain: dict[str, Any] = dataclasses.asdict(summary)
    del plain["model"], plain["skipped"]
    model_sha256 = hashlib.sha256(summary.model.read_bytes()).hexdigest()
    write_json(folder / "trained.json", {"inputs_sha256": fingerprint, "model_sha256": model_sha256, "summary": plain})


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Turn Ctrl-C into an event that is checked between steps; a second Ctrl-C stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
