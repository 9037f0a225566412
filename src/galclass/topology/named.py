"""Topologies by name: the Net# texts in `networks/`, one file per name."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from galclass.errors import TopologyError

TOPOLOGY_NAMES: tuple[str, ...] = tuple(
    sorted(
        entry.name.removesuffix(".net")
        for entry in files("galclass.topology").joinpath("networks").iterdir()
        if entry.name.endswith(".net")
    )
)

TORCH_MODULES: tuple[str, ...] = ("residual", "residual_large")
"""Further names in `train.topology`: networks written in torch, which have no Net# text."""


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


def topology_text(topology: str | Path) -> tuple[str, str | None]:
    """Return the Net# text of a text, path or name, and the file it was read from (None: none).

    Raises
    ------
    TopologyError
        If there is no such file or name, or the file is not UTF-8 text.
    """
    if isinstance(topology, str) and any(sign in topology for sign in ";{\n"):
        return topology, None
    if str(topology) in TOPOLOGY_NAMES:
        return named_topology(str(topology)), None
    path = Path(topology)
    if not path.is_file():
        if str(topology) in TORCH_MODULES:
            raise TopologyError(
                f"{topology} is a torch module, not Net#",
                expected=f"a Net# file or one of {', '.join(TOPOLOGY_NAMES)}",
            )
        near = get_close_matches(str(topology), TOPOLOGY_NAMES, 1)
        raise TopologyError(
            f"no topology '{topology}'",
            expected=f"a Net# file or one of {', '.join(TOPOLOGY_NAMES)}",
            advice=f"perhaps '{near[0]}' is meant" if near else None,
        )
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError("the file cannot be read as UTF-8 text", where=str(path), got=error) from None
