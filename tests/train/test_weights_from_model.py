"""An exported residual network gives its weights back as a start for training."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from galclass.config import config_from_dict
from galclass.errors import ModelError
from galclass.train.build import build_network
from galclass.train.networks import ResidualBody

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("weights_from_model", ROOT / "scripts" / "weights_from_model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def body(seed: int) -> ResidualBody:
    """A body whose normalisations differ from each other, as after training."""
    config = config_from_dict({"train": {"topology": "residual"}})
    found = build_network(config.train, 32, seed=seed, vote_head=False).eval().body
    assert isinstance(found, ResidualBody)
    random = torch.Generator().manual_seed(seed)
    for name, value in found.named_parameters():
        if "norm" in name:
            value.data += 0.1 * torch.randn(value.shape, generator=random)
    return found


def plain(trained: ResidualBody) -> dict[str, torch.Tensor]:
    """What the exported file holds."""
    return {f"body.{name}": value for name, value in trained.folded().state_dict().items()}


@torch.no_grad()
def test_the_restored_body_embeds_as_the_exported_one(script: ModuleType) -> None:
    trained, fresh = body(1), body(2)
    pixels = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    other = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(fresh(other), trained(other), atol=1e-2)
    script.restored(fresh, plain(trained), pixels)
    torch.testing.assert_close(fresh(other), trained(other), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_convolutions_that_do_not_turn_are_refused(script: ModuleType) -> None:
    weights = plain(body(1))
    weights["body.1.0.weight"][8] += 0.1
    with pytest.raises(ModelError, match="do not turn"):
        script.restored(body(2), weights, torch.randn(4, 3, 32, 32))
