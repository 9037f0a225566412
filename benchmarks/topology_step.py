"""Time one training step of the original topology: our compiled module and a plain translation, also layer by layer.

Both run eagerly in float32 on the same threads, batch and images; a step is forward, cross-entropy and backward, no
optimiser and no augmentation (benchmarks of training hold those). Times are medians, the two sides alternate.

    python benchmarks/topology_step.py --batch 128 --threads 1
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from galclass.topology.check import load_topology
from galclass.topology.compile import compile_network


class PlainNorm(nn.Module):
    """The response norm as it is written: a general power."""

    def forward(self, x: Tensor) -> Tensor:
        """Norm every node by itself."""
        return x * (1.0 + 0.0001 * x**2) ** -0.75


def plain_translation() -> nn.Sequential:
    """Return the original topology as one would write it down, NCHW."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 6, stride=2),
        nn.ReLU(),
        PlainNorm(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.ZeroPad2d((1, 0, 1, 0)),
        nn.Conv2d(64, 128, 5, stride=2, groups=64),
        nn.ReLU(),
        PlainNorm(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(1152, 128),
        nn.ReLU(),
        nn.Linear(128, 128),
        nn.ReLU(),
        nn.Linear(128, 13),
    )


def step_of(module: nn.Module, x: Tensor, labels: Tensor) -> Callable[[], None]:
    def step() -> None:
        module.zero_grad(set_to_none=True)
        functional.cross_entropy(module(x), labels).backward()

    return step


def seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(options.batch, 3, 50, 50, generator=generator)
    labels = torch.randint(13, (options.batch,), generator=generator)
    ours = compile_network(load_topology("original"), init_wts_diameter=None, generator=generator)
    ours = ours.to(memory_format=torch.channels_last)
    steps = {
        "plain translation": step_of(plain_translation(), x, labels),
        "compiled topology": step_of(ours, x.to(memory_format=torch.channels_last), labels),
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(options.repeats + 2):
        for name, step in steps.items():
            duration = seconds(step)
            if repeat >= 2:  # the first two warm up
                taken[name].append(duration)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    print(f"batch {options.batch}, {options.threads} threads, torch {torch.__version__}")
    for name, median in medians.items():
        print(f"{name:20} {median * 1e3:8.1f} ms a step {options.batch / median:9.0f} images/s")
    print(f"ratio {medians['plain translation'] / medians['compiled topology']:.2f}")


if __name__ == "__main__":
    main()
