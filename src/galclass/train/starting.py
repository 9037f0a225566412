"""What `train.initial_weights` names: a checkpoint, an encoder, or a model; "package" is the one in the package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from galclass.config import Config, TrainConfig
from galclass.errors import ModelError, TrainingError
from galclass.scoring import shipped_model
from galclass.scoring.fitted_ids import recorded
from galclass.scoring.graph import check_graph
from galclass.scoring.model_bytes import read_model
from galclass.scoring.session import signature_of
from galclass.train.build import pixel_scale
from galclass.train.checkpoint import StartingWeights, load_starting_weights, weights_path
from galclass.train.dataset import TrainingData
from galclass.train.from_onnx import head_weights, restored_body, topology_of

PACKAGE = "package"
CUTOUTS = 512
"""Training cutouts from which a model's normalisations get their statistics."""


def starting_model(text: str | None) -> tuple[bytes, str] | None:
    """Return the model that `train.initial_weights` names, and its name in errors; None if it names no model.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    if text == PACKAGE:
        return shipped_model(), "the model in the package"
    if text is not None and weights_path(text).suffix.lower() == ".onnx":
        return read_model(weights_path(text))
    return None


def with_topology_of_start(config: Config) -> Config:
    """Use the topology of the model that training starts from, unless the configuration sets one.

    Raises
    ------
    ModelError
        If the model is not a residual network of this package.
    TrainingError
        If the configuration names another topology.
    """
    found = starting_model(config.train.initial_weights)
    if found is None:
        return config
    name, asked = topology_of(found[0], where=found[1]), config.train.topology
    if asked not in (name, TrainConfig().topology):
        raise TrainingError(
            "the model that training starts from has another topology", where="train.topology", expected=name, got=asked
        )
    return replace(config, train=replace(config.train, topology=name))


def start_sha256(text: str) -> str | None:
    """Return the sha256 of the initial weights' file; None if there is no such file."""
    path = weights_path(text)
    if text == PACKAGE:
        return hashlib.sha256(shipped_model()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def recorded_start(text: str) -> Mapping[str, Any]:
    """Return what the initial weights are recorded to be trained on; empty if nothing is recorded or can be read."""
    try:
        found = starting_model(text)
        if found is None:
            return {}
        signature = signature_of(check_graph(found[0], where=found[1]), where=found[1])
    except ModelError:
        return {}
    return recorded(signature.trained, hashlib.sha256(found[0]).hexdigest())


def weights_to_start(config: TrainConfig, data: TrainingData) -> tuple[StartingWeights, str]:
    """Read the initial weights, by names of the network, and their name in errors.

    The normalisations of a model get the statistics of training cutouts; its heads for classes and votes are included.

    Raises
    ------
    ModelError, TrainingError
        If it cannot be read, or does not fit the scale of the pixels or this package's networks.
    """
    assert config.initial_weights is not None
    found = starting_model(config.initial_weights)
    if found is None:
        path: Path = weights_path(config.initial_weights)
        return load_starting_weights(path), str(path)
    model, where = found
    rows = data.indices("train", raw=config.type == "votes")
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:CUTOUTS])
    cutouts = np.ascontiguousarray(data.store.central(rows).transpose(0, 3, 1, 2))
    body, scale = restored_body(model, cutouts, where=where)
    if str(scale) != str(pixel_scale(config)):  # the signature has 8 digits
        raise TrainingError(
            "the model expects pixels at another scale", where="train.normalize", expected=str(scale),
            got=str(pixel_scale(config)),
        )  # fmt: skip
    weights = {f"body.{name}": value for name, value in body.state_dict().items()}
    return StartingWeights(weights | head_weights(model, where=where), {}, []), where
