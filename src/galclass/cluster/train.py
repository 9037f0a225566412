"""Training on a cluster: Ray Train starts the processes, `galclass.train` is what each of them runs.

Takes the prepared folder of a workspace that all nodes see; writes the same `training/` as one machine. The loop
shares each batch among the processes and adds up their gradients; the leader writes the checkpoints, and a run whose
node is lost resumes from the last.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from galclass.cluster.connect import nodes
from galclass.config import Config, config_from_dict, config_to_dict
from galclass.errors import ClusterError, GalclassError, TrainingError
from galclass.train import train
from galclass.train.stage import TrainSummary, finished_training

MAX_FAILURES = 3
"""How often a lost process is replaced before the run is given up; its checkpoint stays in any case."""


def train_on_cluster(config: Config, *, resume: bool = False, progress: bool = True) -> TrainSummary:
    """Train with several processes on the cluster that is connected.

    Parameters
    ----------
    config : Config
        `cluster.workers` says how many processes; `train.acceleration` whether each has a GPU.
    resume : bool
        Insist on going on from the checkpoint.
    progress : bool
        Whether the leader prints its iterations (into Ray's log).

    Raises
    ------
    TrainingError
        As `galclass.train.train`.
    ClusterError
        If the processes are lost more often than `MAX_FAILURES`.
    """
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    config = replace(config, workspace=str(config.workspace_path.resolve()))
    if not resume and (done := finished_training(config)) is not None:
        return done
    gpu = config.train.acceleration == "gpu"
    trainer = TorchTrainer(
        _train_here,
        train_loop_config={"config": config_to_dict(config), "resume": resume, "progress": progress},
        scaling_config=ray.train.ScalingConfig(num_workers=config.cluster.workers or nodes(), use_gpu=gpu),
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
        run_config=ray.train.RunConfig(
            name="ray",
            storage_path=str(config.workspace_path / "training"),
            failure_config=ray.train.FailureConfig(max_failures=MAX_FAILURES),
        ),
    )
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise _explained(error) from error
    summary = finished_training(config)
    if summary is None:
        raise ClusterError(
            "the processes ended without producing a model", where=config.workspace, advice="see Ray's log"
        )
    return replace(summary, skipped=False)


def _train_here(given: dict[str, Any]) -> None:
    """Run the stage in this process: torch's group is there already, and rank and size are in the environment."""
    train(config_from_dict(given["config"]), resume=given["resume"], progress=given["progress"])


def _explained(error: BaseException) -> GalclassError:
    """Return the error of a process if the user can fix it, else that the cluster failed."""
    causes = getattr(error, "worker_failures", None) or {}
    for cause in causes.values():
        inner = getattr(cause, "cause", None) or cause
        if isinstance(inner, TrainingError):
            return inner
    return ClusterError(
        "training failed on the cluster",
        got=str(error).strip().splitlines()[-1][:300],
        advice="run the same command again to resume from the checkpoint",
    )
