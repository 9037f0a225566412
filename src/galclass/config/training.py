"""The section of the configuration that says what is trained and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from galclass.config.strict import STRICT


@dataclass(frozen=True)
class TrainConfig:
    """What is trained and how; option names follow rxNeuralNet where it has them.

    Attributes
    ----------
    topology : str
        "residual" (default), "residual_large" (a quarter more arithmetic), "lite0" (EfficientNet-Lite0), "original", a
        path to a Net# file, or "timm:<model>".
    num_hidden_nodes : int
        Size of `auto` hidden layers of a Net# topology.
    type : str
        "multi_class": the 13 classes; "binary": smooth or not, each label widened to one of the two; "regression": the
        37 debiased vote fractions, from which the class probabilities follow down the tree of questions; "votes": the
        distribution of the raw votes, of which every label is an event (decision 0016).
    initial_weights : str or None
        What training starts from (fine-tuning): "package", the model that ships, or another .onnx file of a residual
        network, whose topology is then taken; a checkpoint of the same topology (its best weights); or a file of an
        encoder's weights alone (a PyTorch state dict). Heads that it has not, or of another shape, start afresh. `~`
        and `${NAME}` are filled in.
    num_epochs : int
        Passes over the training split; `num_iterations` and rxNeuralNet's `numIterations` mean the same.
    mini_batch_size : int
        Cutouts per step of the optimizer.
    optimizer : str
        "adamw", "sgd" or "ada_delta_sgd".
    learning_rate : float
        Step size at its highest ("ada_delta_sgd" multiplies its own step by it: use 1).
    weight_decay, l2_regularization : float
        Decay of the weights apart from the gradient ("adamw": decoupled), and added to the gradient (all optimizers).
    momentum, nag : float, bool
        Momentum of "sgd" in [0, 1) and whether it is Nesterov's.
    decay, conditioning_const : float
        Memory and conditioning of "ada_delta_sgd".
    schedule : str
        "cosine" (after the warm-up down to 0), "step" (the l_rate_red options) or "constant".
    warm_up : float
        Share of all steps, in [0, 1), over which the rate rises from 0.
    l_rate_red_ratio, l_rate_red_freq : float, int
        "step": the rate is multiplied by the ratio every so many epochs.
    l_rate_red_error_ratio : float
        "step": also multiply when the training loss falls by less than this share in an epoch; 0: never.
    init_wts_diameter : float
        Width of the uniform range of the initial weights; 0 takes He initialisation.
    max_norm : float
        Largest norm of one unit's incoming weights; 0: no limit.
    clip_norm : float
        Largest norm of the whole gradient; 0: no limit.
    normalize : str
        "auto" or "yes": pixels are scaled to about -0.2..3.8 (sky near zero); "no": 0..255; "warn": 0..255 and says so.
    class_balance : float
        0: rows count alike; 1: labels count alike; between: weights by label frequency to the power of minus this.
    repeats : tuple of str
        "NAME=K": rows of that source or label enter K times an epoch.
    observation_sources : tuple of str
        Sources whose coarse labels are learned through a matrix "true kind -> what that survey says".
    debiased_sources : tuple of str
        Sources whose gz2_class follows debiased fractions while other sources' labels follow raw ones: the class head
        learns their kind from their raw fractions and from gz2_class only the leaf within its kind.
    clean_sources : tuple of str
        "votes": sources whose labels are kinds of the clean samples, that is thresholds on raw votes.
    other_votes_sources : tuple of str
        "votes": sources whose raw votes were counted otherwise than those of the rest (Galaxy Zoo 2's own table beside
        the Galaxy Challenge's). They, and the labels of those that are observation sources too, train a head of their
        own for how votes differ, which no exported model has.
    natural : dict of str to dict of str to float
        "votes": source -> label -> how many objects have it before some were chosen by it; the likelihood of the labels
        of clean sources, and of "largest", then is that of the label given that the object was chosen.
    teacher : str or None
        A model (.onnx, for cutouts of the same size) whose predictions are learned too, or a file of them (.npz);
        rows without labels are then trained on as well. `~` and `${NAME}` are filled in.
    teacher_weight : float
        Weight of the teacher's predictions, in [0, 1]; the rest is that of the labels.
    teacher_angles_deg : tuple of float
        Angles at which a teacher is asked about every cutout, once; each step takes one of them.
    label_smoothing : float
        Probability, in [0, 1), that a label says nothing.
    vote_weight : float
        Weight of the vote head's loss where the catalog has debiased fractions; 0 trains no vote head.
    dropout : float
        Share of the embedding dropped while training.
    mixup : float
        Each batch is blended with itself in another order, images and losses alike, by a share drawn from
        Beta(mixup, mixup); 0: never. Against overfitting (Zhang et al. 2018, https://arxiv.org/abs/1710.09412).
    augment : str
        "free": any angle, mirror, zoom and shift; "fixed": every row at each of `angles_deg`; "none".
    angles_deg : tuple of float
        Angles of "fixed".
    zoom, shift_px, gain, colour_gain : float
        Spread of "free": log zoom (+-), shift (+- px), brightness and per-channel factor (standard deviations).
    survey_share : float
        "free": share of the cutouts, in [0, 1], that are shown as another survey might: at another scale and, each for
        half of them, with another PSF, noise, gamma and saturation.
    survey_scale : float
        Largest factor, at least 1, by which a galaxy is enlarged or reduced, evenly in its logarithm; sky like that at
        the square's border is put where the stored square ends.
    survey_blur_px, survey_noise : float
        Largest standard deviation of the PSF, in px of the cutout, and of the noise, in grey levels.
    survey_stretch : float
        Largest log of gamma, either way; saturation falls by up to twice as much.
    reduced_px : int
        Side of the input, in px, during the first `reduced_share` of all steps (faster); 0: the full side throughout.
    reduced_share : float
        In [0, 1].
    views : int
        8: the model predicts the same for the eight turns and mirror images of a cutout; 1: for the cutout as it is.
    validation_views : int
        1: validate after each epoch on the cutout as it is, eight times faster than on `views`.
    ema : float
        Memory of the running mean of the weights that is validated and kept, in [0, 1); 0: none.
    early_stopping : int
        Stop after so many epochs without a better validation loss; 0: never, but after 6 where fewer than 250 labelled
        objects are trained on.
    accumulate : int
        A step's gradient is gathered from so many parts of the mini-batch (less memory, same result).
    mixed_precision : bool
        bfloat16 autocast of the body; heads and losses stay float32. On a CPU it is faster only with AMX.
    acceleration : str
        "auto" (a GPU when there is one), "cpu" or "gpu".
    threads : int
        CPU threads; 0: all cores.
    deterministic : bool
        Deterministic algorithms only.
    cache : bool or "disk"
        "fixed" and "none": keep transformed cutouts in memory, or in a file that is mapped into it, instead of making
        them again.
    seeds : int
        Train so many times (seed, seed + 1, ...), keep the best and report mean and spread.
    tensorboard : bool
        Write TensorBoard logs beside the CSV.
    mlflow : str, optional
        Log finished runs to this MLflow store: a folder, `sqlite:///FILE`, or the address of a server.
    checkpoint_s : float
        Seconds between checkpoints within an epoch (one is written at the end of each anyway).
    """

    __pydantic_config__ = STRICT

    topology: str = "residual"
    num_hidden_nodes: int = 100
    type: Literal["multi_class", "binary", "regression", "votes"] = "multi_class"
    initial_weights: str | None = None
    num_epochs: int = 40
    mini_batch_size: int = 64
    optimizer: Literal["adamw", "sgd", "ada_delta_sgd"] = "adamw"
    learning_rate: float = 0.004
    weight_decay: float = 0.05
    l2_regularization: float = 0.0
    momentum: float = 0.0
    nag: bool = False
    decay: float = 0.95
    conditioning_const: float = 1e-6
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warm_up: float = 0.15
    l_rate_red_ratio: float = 1.0
    l_rate_red_freq: int = 100
    l_rate_red_error_ratio: float = 0.0
    init_wts_diameter: float = 0.0
    max_norm: float = 0.0
    clip_norm: float = 2.0
    normalize: Literal["auto", "yes", "no", "warn"] = "auto"
    class_balance: float = 0.0
    repeats: tuple[str, ...] = ()
    observation_sources: tuple[str, ...] = ()
    debiased_sources: tuple[str, ...] = ()
    clean_sources: tuple[str, ...] = ()
    other_votes_sources: tuple[str, ...] = ()
    natural: dict[str, dict[str, float]] = field(default_factory=dict)
    teacher: str | None = None
    teacher_weight: float = 0.7
    teacher_angles_deg: tuple[float, ...] = (0.0, 30.0, 60.0)
    label_smoothing: float = 0.01
    vote_weight: float = 0.3
    dropout: float = 0.2
    mixup: float = 0.0
    augment: Literal["free", "fixed", "none"] = "free"
    angles_deg: tuple[float, ...] = (0.0, 45.0, 90.0)
    zoom: float = 0.08
    shift_px: float = 1.5
    gain: float = 0.08
    colour_gain: float = 0.03
    survey_share: float = 0.0
    survey_scale: float = 2.0
    survey_blur_px: float = 1.5
    survey_noise: float = 8.0
    survey_stretch: float = 0.25
    reduced_px: int = 0
    reduced_share: float = 0.5
    views: Literal[1, 8] = 8
    validation_views: Literal[1, 8] = 8
    ema: float = 0.99
    early_stopping: int = 0
    accumulate: int = 1
    mixed_precision: bool = False
    acceleration: Literal["auto", "cpu", "gpu"] = "auto"
    threads: int = 0
    deterministic: bool = False
    cache: bool | Literal["disk"] = False
    seeds: int = 1
    tensorboard: bool = False
    mlflow: str | None = None
    checkpoint_s: float = 60.0

    @property
    def num_iterations(self) -> int:
        """`num_epochs` under its former name."""
        return self.num_epochs
