"""What runs a graph: the processor, and a clear error where another provider is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tiny_model import tiny_model

from galclass.config import load_config
from galclass.errors import ConfigError, ModelError
from galclass.scoring import Scorer
from galclass.scoring.session import PROVIDERS
from galclass.service.server.run import serve


@pytest.mark.parametrize("provider", sorted(set(PROVIDERS) - {"cpu"}))
def test_a_provider_that_is_not_there_is_said_with_those_that_are(provider: str) -> None:
    if PROVIDERS[provider] in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has it")
    with pytest.raises(ModelError, match=f"no provider '{provider}'.*expected one of cpu"):
        Scorer(tiny_model(), provider=provider)


def test_a_server_does_not_start_without_its_provider(tmp_path: Path) -> None:
    if PROVIDERS["cuda"] in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has it")
    settings = {"workspace": str(tmp_path), "serve.provider": "cuda", "serve.port": "0"}
    with pytest.raises(ModelError, match="no provider 'cuda'.*onnxruntime-gpu"):
        serve(load_config(None, settings))


def test_a_name_that_is_no_provider() -> None:
    with pytest.raises(ModelError, match="'gpu' is not a provider"):
        Scorer(tiny_model(), provider="gpu")
    with pytest.raises(ConfigError, match="provider"):
        load_config(None, {"serve.provider": "gpu"})


def test_a_provider_without_its_device_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [*onnxruntime.get_available_providers(), PROVIDERS["cuda"]]
    made = onnxruntime.InferenceSession

    def without_device(*arguments: Any, providers: list[str], **options: Any) -> Any:
        return made(*arguments, providers=[one for one in providers if one != PROVIDERS["cuda"]], **options)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(onnxruntime, "InferenceSession", without_device)
    with pytest.raises(ModelError, match="finds no device"):
        Scorer(tiny_model(), provider="cuda")


@pytest.mark.gpu
def test_cuda_answers_as_the_processor_does() -> None:
    if PROVIDERS["cuda"] not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no cuda")
    here, there = Scorer(), Scorer(provider="cuda")
    cutouts = np.random.default_rng(0).integers(
        0, 256, (64, here.signature.size_px, here.signature.size_px, 3), np.uint8
    )
    expected = here.score_cutouts(cutouts).probabilities
    np.testing.assert_allclose(there.score_cutouts(cutouts).probabilities, expected, atol=1e-4)
