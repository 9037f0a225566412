"""galclass: galaxy morphology from survey images, end to end.

The names below are the public Python API; each is imported on first use, so that
`import galclass` computes nothing and needs neither torch nor a web framework. It does one thing: it
switches off onnxruntime's telemetry, which is on as released and starts when onnxruntime is imported.
"""

from __future__ import annotations

import os
import sys
import warnings

from galclass import moved

__version__ = "0.1.0"

_HOMES = {
    "GalclassError": "galclass.errors",
    "CLASSES": "galclass.morphology",
    "GROUPS": "galclass.morphology",
    "Config": "galclass.config",
    "load_config": "galclass.config",
    "run": "galclass.pipeline",
    "cutout": "galclass.cutouts",
    "CutoutParameters": "galclass.cutouts",
    "Scorer": "galclass.scoring",
    "Prediction": "galclass.scoring",
    "GalaxyClassifier": "galclass.scoring.classifier",
    "open_database": "galclass.database",
    "open_scorer": "galclass.database.scorers",
}

moved.install()

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  # the keys are the public names

_TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"
"""Read by onnxruntime once, when it is imported: from then on it keeps a device id and a queue of events in the home
directory and sends them. Its `disable_telemetry_events()` comes too late for both."""


def _disable_telemetry() -> None:
    """Switch onnxruntime's telemetry off for this process and its children, unless the user has set the switch."""
    if os.environ.get(_TELEMETRY_SWITCH):
        return
    os.environ[_TELEMETRY_SWITCH] = "1"
    if "onnxruntime" in sys.modules:
        warnings.warn(
            "onnxruntime was imported before galclass, with its telemetry on: import galclass first, "
            f"or set {_TELEMETRY_SWITCH}=1 in the environment",
            RuntimeWarning,
            stacklevel=3,
        )


_disable_telemetry()


__getattr__ = moved.names_elsewhere(__name__, _HOMES, warn=False)


def __dir__() -> list[str]:
    return __all__
