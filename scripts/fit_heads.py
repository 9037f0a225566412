"""Refit the heads of a trained network to unaugmented cutouts, and export it.

    GALCLASS_DATA=... GALCLASS_START=workspace/student/training/checkpoint.pt
        python scripts/fit_heads.py workspace/heads --config configs/student.toml [--set 'train.repeats=[...]' ...]

Reads `prepared/` in the workspace and the checkpoint of `train.initial_weights`; writes training/checkpoint.pt,
model.onnx, history.csv and config.toml there, as `galclass train` does. The body's weights are unchanged.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from galclass.atomic_files import write_text
from galclass.config import config_to_toml, load_config
from galclass.train.calibrated import calibrated_model
from galclass.train.checkpoint import save_checkpoint, write_history
from galclass.train.dataset import open_training_data
from galclass.train.export import export_onnx
from galclass.train.refit import RefitOptions, refit_heads
from galclass.train.stage import inputs_sha256
from galclass.train.trainer import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="holds prepared/")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--set", nargs="*", default=[], help="options, as in `galclass train --set`")
    parser.add_argument("--epochs", type=int, default=RefitOptions.epochs)
    parser.add_argument("--seed", type=int, help="of the draws; the configuration's if absent")
    options = parser.parse_args()
    config = load_config(options.config, [*options.set, f"workspace={options.workspace}"])
    config = replace(config, seed=config.seed if options.seed is None else options.seed)
    config = replace(config, train=replace(config.train, teacher=None, num_epochs=options.epochs))
    torch.set_num_threads(config.train.threads or torch.get_num_threads())
    data = open_training_data(options.workspace / "prepared")
    trainer = Trainer(data, config.train, seed=config.seed)
    found = refit_heads(trainer, RefitOptions(epochs=options.epochs))
    trainer.at.iteration = trainer.at.best_iteration = options.epochs
    trainer.at.history.append({"iteration": options.epochs, **found})
    folder = options.workspace / "training"
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder / "checkpoint.pt", {"inputs_sha256": inputs_sha256(data, config), **trainer.state()})
    write_history(folder / "history.csv", trainer.at.history)
    write_text(folder / "config.toml", config_to_toml(config))
    module, signature = calibrated_model(trainer, config)
    export_onnx(module, signature, folder / "model.onnx")
    print(", ".join(f"{name} {value:.4f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
