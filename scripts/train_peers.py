"""Train a usual network on hard labels for so many minutes of processor time, and measure it beside other models.

    python scripts/train_peers.py lite0 workspace/teacher --minutes 20 --weights efficientnet-lite0-57934424.pth
    python scripts/train_peers.py resnet18 workspace/student --minutes 20
    python scripts/train_peers.py compare workspace/student --config configs/student.toml --models ours.onnx

Peers are what one would try first: EfficientNet-Lite0 from its ImageNet weights, and ResNet-18 from scratch, both with
plain cross-entropy on one hard label a galaxy (round, in between, cigar-shaped, edge-on, face-on, artifact: where the
walk down the votes ends, or the clean label), turned and mirrored, and a one-cycle learning rate over the budget. One
thread. A checkpoint every five minutes: a run continues where it stopped. `compare` prints each model's figures on the
test split and the paired difference from the first, with 95 % bootstrap intervals over galaxies.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from measure_votes import Measured, unselected_rows
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from galclass.clean_samples import CLEAN_LABELS
from galclass.config import load_config
from galclass.evaluate.unselected import COLUMNS, EIGHT, shares_of
from galclass.morphology import CLASSES, COARSE_LABELS
from galclass.prepare.store import Store
from galclass.train.checkpoint import load_starting_weights
from galclass.train.dataset import TrainingData, open_training_data
from galclass.train.lite import Lite0Body
from galclass.train.raw_votes import leaves_by_votes

KINDS = (("Er",), ("Ei",), ("Ec",), ("Se",), COARSE_LABELS["spiral"], ("A",))
SOURCES = ("clean5", "votes", "votes_clean5", "gz2", "artifacts")
BATCH, CHECKPOINT_S, RESAMPLES = 64, 300, 2000
RATE = {"lite0": 1e-3, "resnet18": 3e-3}
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet."""


class _Block(nn.Module):
    """Two 3 x 3 convolutions with a shortcut (He et al. 2016)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, images: Tensor) -> Tensor:
        narrow = functional.relu(self.norm1(self.conv1(images)))
        return functional.relu(self.norm2(self.conv2(narrow)) + self.shortcut(images))


def resnet18() -> nn.Sequential:
    """Make ResNet-18 up to the pooled embedding of 512."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    channels = 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [_Block(channels, width, stride), _Block(width, width, 1)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def peer(name: str, weights: Path | None) -> nn.Module:
    """Make the network of a peer; Lite0 starts from the weights."""
    if name == "resnet18":
        return nn.Sequential(resnet18(), nn.Linear(512, len(KINDS)))
    body = Lite0Body()
    if weights is not None:
        state = load_starting_weights(weights).network
        own = {key.removeprefix("body."): value for key, value in state.items()}
        body.load_state_dict({key: value for key, value in own.items() if key in body.state_dict()})
    return nn.Sequential(body, nn.Dropout(0.2), nn.Linear(body.embedding_size, len(KINDS)))


def hard_labels(data: TrainingData) -> NDArray[np.int64]:
    """Return each row's kind, -1 where there is none: the end of the walk down raw votes, else a clean label."""
    member = np.array([[leaf in kind for leaf in CLASSES] for kind in KINDS])
    voted = leaves_by_votes(data.counts)
    is_open = np.where(voted.any(1, keepdims=True), voted, data.leaves)
    within = is_open.any(1)[:, None] & ~(is_open[:, None, :] & ~member[None]).any(2)
    known = within.any(1) & np.isin(np.array(data.source), SOURCES)
    return np.where(known, within.argmax(1), -1)


def scaled(pixels: NDArray[np.uint8]) -> Tensor:
    """Scale cutouts, (n, size, size, 3) -> (n, 3, size, size)."""
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255
    return (planes - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]


def drawn(planes: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn each cutout by a multiple of 90 degrees and mirror half of them."""
    turned = [torch.rot90(one, int(rng.integers(4)), (1, 2)) for one in planes]
    return torch.stack([one.flip(2) if rng.random() < 0.5 else one for one in turned])


def train(name: str, workspace: Path, minutes: float, weights: Path | None, seed: int) -> None:
    """Train until the budget is spent, and write the test split's probabilities."""
    data = open_training_data(workspace / "prepared")
    labels = hard_labels(data)
    rows = data.indices("train", raw=True)
    rows = rows[labels[rows] >= 0]
    torch.manual_seed(seed)
    network = peer(name, weights).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE[name], weight_decay=0.02)
    path, spent, seen = workspace / f"{name}-{seed}.pt", 0.0, 0
    if path.is_file():
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        spent, seen = state["spent"], state["seen"]
    started, saved, rng = time.process_time() - spent, spent, np.random.default_rng([seed, seen])
    while spent < 60 * minutes:
        network.train()
        share = spent / (60 * minutes)
        optimizer.param_groups[0]["lr"] = RATE[name] * min(share / 0.05, 0.5 * (1 + np.cos(np.pi * share)), 1.0)
        own = np.sort(rng.choice(rows, BATCH, replace=False))
        planes = drawn(scaled(data.store.central(own)), rng).contiguous(memory_format=torch.channels_last)
        loss = functional.cross_entropy(network(planes), torch.from_numpy(labels[own]), label_smoothing=0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        spent, seen = time.process_time() - started, seen + BATCH
        if spent - saved > CHECKPOINT_S or spent >= 60 * minutes:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "spent": spent, "seen": seen}
            torch.save(state, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
            saved = spent
            print(
                f"{name}: {spent / 60:.1f} min, {seen:,} images ({seen / len(rows):.1f} epochs), loss {loss:.3f}",
                flush=True,
            )
    _write_answers(network.eval(), data, workspace / f"{name}-{seed}.npz")


@torch.no_grad()
def _write_answers(network: nn.Module, data: TrainingData, path: Path) -> None:
    rows = data.indices("test", raw=True)
    found = [
        torch.softmax(network(scaled(data.store.central(own))), 1).numpy()
        for own in np.array_split(rows, -(-len(rows) // BATCH))
    ]
    names = [f"{data.source[row]} {data.object_id[row]}" for row in rows]
    np.savez(path, names=np.array(names), probabilities=np.concatenate(found))


class Figures:
    """Figures on the test split, as functions of which galaxies are drawn."""

    def __init__(self, store: Store, config_path: Path, workspace: Path) -> None:
        self.store, self.config = store, load_config(config_path, [f"workspace={workspace}"])
        table = store.index.select(["source", "split", "label", "object_id"]).to_pydict()
        wanted = [
            s == "test" and n in ("votes", "votes_clean5", "clean5")
            for s, n in zip(table["split"], table["source"], strict=True)
        ]
        self.rows = np.flatnonzero(wanted)
        self.sources = np.array([table["source"][row] for row in self.rows])
        self.names = [f"{table['source'][row]} {table['object_id'][row]}" for row in self.rows]
        self.unselected, self.given, self.weights = unselected_rows(store, self.sources, self.rows, self.config)
        self.clean = np.flatnonzero(self.sources == "clean5")
        self.kinds = np.array([CLEAN_LABELS.index(table["label"][row]) for row in self.rows[self.clean]])
        natural = np.array([self.config.train.natural["clean5"][name] for name in CLEAN_LABELS], dtype=float)
        self.natural = natural
        self.frequency = (natural / natural.sum() / (np.bincount(self.kinds) / len(self.kinds)))[self.kinds]

    def of_model(self, path: Path) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return values and weights of each figure for an ONNX model."""
        model = Measured(self.store, self.config, path, self.rows)
        return self._figures(shares_of(model.means(self.unselected)), model.clean_kinds(self.clean, self.natural))

    def of_peer(self, path: Path) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return the same for a peer's probabilities of the six kinds."""
        found = np.load(path)
        at = {name: k for k, name in enumerate(found["names"].tolist())}
        p = found["probabilities"][[at[name] for name in self.names]].astype(np.float64)
        smooth, disk = p[:, :3].sum(1), p[:, 3:5].sum(1)
        shares = np.zeros((len(p), len(COLUMNS)))
        parts = [smooth, disk, p[:, 5], p[:, 3], p[:, 4], p[:, 0], p[:, 1], p[:, 2]]
        for stem, part in zip(EIGHT, parts, strict=True):
            shares[:, COLUMNS.index(stem)] = part
        return self._figures(shares[self.unselected], p[self.clean][:, :5].argmax(1))

    def _figures(
        self, shares: NDArray[np.float64], kinds: NDArray[np.int64]
    ) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        eight = [COLUMNS.index(stem) for stem in EIGHT]
        first = shares[:, :3].argmax(1) == self.given[:, :3].argmax(1)
        right = kinds == self.kinds
        return {
            "smooth or featured": (first.astype(float), self.weights),
            "mean square error of 8 fractions": (((shares - self.given)[:, eight] ** 2).mean(1), self.weights),
            "clean-5": (right.astype(float), np.ones(len(right))),
            "clean-5 at natural frequencies": (right.astype(float), self.frequency),
        }


def compare(workspace: Path, config: Path, models: list[Path]) -> None:
    """Print the figures, and each model's paired difference from the first."""
    figures = Figures(Store.open(workspace / "prepared"), config, workspace)
    found = {one.stem: figures.of_peer(one) if one.suffix == ".npz" else figures.of_model(one) for one in models}
    first = next(iter(found.values()))
    rng = np.random.default_rng(0)
    for name, (own, weights) in first.items():
        picks = rng.integers(0, len(own), (RESAMPLES, len(own)))
        for label, values in found.items():
            value, other = values[name][0], own
            drawn_means = [np.average(value[k], weights=weights[k]) for k in picks]
            apart = [np.average((value - other)[k], weights=weights[k]) for k in picks]
            texts = [
                f"[{low:.4f}, {high:.4f}]"
                for low, high in (np.percentile(d, [2.5, 97.5]) for d in (drawn_means, apart))
            ]
            print(f"{name:34}{label:22}{np.average(value, weights=weights):.4f} {texts[0]}  difference {texts[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("lite0", "resnet18", "compare"))
    parser.add_argument("workspace", type=Path, help="holds prepared/")
    parser.add_argument("--minutes", type=float, default=20.0, help="of processor time")
    parser.add_argument("--weights", type=Path, help="of ImageNet, for lite0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--models", type=Path, nargs="+", help="ONNX files, and what the peers wrote (.npz)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "compare":
        compare(options.workspace, options.config, options.models)
    else:
        train(options.what, options.workspace, options.minutes, options.weights, options.seed)


if __name__ == "__main__":
    main()
