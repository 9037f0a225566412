"""Topologies by name: the Net# texts in `networks/`, one file a name."""

from __future__ import annotations

from importlib.resources import files

from galclass.errors import TopologyError

TOPOLOGY_NAMES: tuple[str, ...] = tuple(
    sorted(
        entry.name.removesuffix(".net")
        for entry in files("galclass.topology").joinpath("networks").iterdir()
        if entry.name.endswith(".net")
    )
)

TORCH_MODULES: tuple[str, ...] = ("residual", "residual_large")
"""Names that `train.topology` knows besides: networks written in torch, which have no Net# text."""


def named_topology(name: str) -> str:
    """Return the Net# text of a named topology.

    Parameters
    ----------
    name : str
        One of `TOPOLOGY_NAMES`.

    Raises
    ------
    TopologyError
        If there is no such name.
    """
    if name not in TOPOLOGY_NAMES:
        raise TopologyError(f"no topology '{name}'", expected=f"one of {', '.join(TOPOLOGY_NAMES)}")
    return files("galclass.topology").joinpath("networks", f"{name}.net").read_text(encoding="utf-8")
