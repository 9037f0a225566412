"""The exported graph: the same answers as torch, for any batch, in one small deterministic file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from galclass.cutouts import CutoutParameters
from galclass.scoring.signature import METADATA_KEY, Signature
from galclass.train import export_onnx
from galclass.train.calibrate import VoteAnswers, fit_temperature, mean_loss, vote_concentrations
from galclass.train.export import ExportModule, PixelScale
from galclass.train.networks import VOTE_COLUMNS, Network, ResidualBody
from galclass.train.symmetry import ORDER, transform

SCALE = PixelScale(4 / 255, -0.2)


@pytest.fixture
def network() -> Network:
    """A network with running statistics that differ between the elements of a field."""
    torch.manual_seed(0)
    body = ResidualBody(24)
    network = Network(body, body.embedding_size, invariant=True, views=8, vote_head=True, dropout=0.2)
    with torch.no_grad():
        network(torch.randn(16, 3, 24, 24))
    return network.eval()


@pytest.fixture
def signature() -> Signature:
    parameters = CutoutParameters(24, 0.5)
    return Signature(24, 0.5, parameters.sha256, 192, vote_columns=VOTE_COLUMNS)


def session_of(data: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def test_onnxruntime_gives_torchs_answers_for_any_batch(network: Network, signature: Signature, tmp_path: Path) -> None:
    module = ExportModule(network, SCALE, 1.5, (9.0,) * 11)
    session = session_of(export_onnx(module, signature, tmp_path / "model.onnx"))
    cutouts = torch.randint(0, 256, (5, 3, 24, 24), dtype=torch.uint8)
    with torch.no_grad():
        expected = network(SCALE.apply(cutouts.float()))
    for count in (1, 5):
        probabilities, embedding, votes = session.run(None, {"cutouts": cutouts[:count].numpy()})
        assert np.allclose(probabilities, torch.softmax(expected.logits[:count] / 1.5, 1), atol=1e-6)
        assert np.allclose(embedding, expected.embedding[:count], atol=1e-4)
        assert votes.shape == (count, 37, 3)
    assert np.all(votes[:, :, 1] <= votes[:, :, 0])
    assert np.all(votes[:, :, 0] <= votes[:, :, 2])
    assert np.allclose(votes[:, :3, 0].sum(1), 1, atol=1e-5)


def test_graph_answers_alike_for_the_eight_views(network: Network, signature: Signature, tmp_path: Path) -> None:
    session = session_of(export_onnx(ExportModule(network, SCALE, 1.0, (9.0,) * 11), signature, tmp_path / "m.onnx"))
    cutout = np.random.default_rng(0).integers(0, 256, (1, 3, 24, 24), dtype=np.uint8)
    straight = session.run(None, {"cutouts": cutout})
    for g in range(ORDER):
        turned = session.run(None, {"cutouts": np.ascontiguousarray(transform(g, cutout))})
        for a, b in zip(straight, turned, strict=True):
            assert np.allclose(a, b, atol=1e-5)


def test_same_network_gives_the_same_bytes_with_signature_and_probe(
    network: Network, signature: Signature, tmp_path: Path
) -> None:
    module = ExportModule(network, SCALE, 1.0, (9.0,) * 11)
    first, second = (export_onnx(module, signature, tmp_path / name) for name in ("a.onnx", "b.onnx"))
    assert first == second == (tmp_path / "a.onnx").read_bytes()
    metadata = {entry.key: entry.value for entry in onnx.load_from_string(first).metadata_props}
    read = Signature.from_json(metadata[METADATA_KEY])
    assert read.probe is not None
    assert sum(read.probe.probabilities) == pytest.approx(1, abs=1e-5)


def test_temperature_flattens_boasting_logits_back() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 13)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    leaves = np.zeros((4000, 13), bool)
    leaves[np.arange(4000), [generator.choice(13, p=row) for row in probabilities]] = True
    boasting = (logits * 2.5).astype(np.float32)
    temperature = fit_temperature(boasting, leaves)
    assert temperature == pytest.approx(2.5, abs=0.15)
    assert mean_loss(boasting / temperature, leaves) < mean_loss(boasting.astype(float), leaves)


def test_temperature_without_labels_is_one() -> None:
    assert fit_temperature(np.zeros((3, 13), np.float32), np.zeros((3, 13), bool)) == 1.0


def test_vote_concentration_is_that_of_the_scatter() -> None:
    generator = np.random.default_rng(0)
    mean = generator.dirichlet((4, 3, 2), 5000)
    given = np.stack([generator.dirichlet(row * 20) for row in mean])
    predicted, votes = np.full((5000, 37), 0.5, np.float32), np.full((5000, 37), 0.5, np.float32)
    predicted[:, :3], votes[:, :3] = mean, given
    reach = np.zeros((5000, 11), np.float32)
    reach[:, 0] = 1
    assert vote_concentrations(VoteAnswers(predicted, votes, reach))[0] == pytest.approx(20, rel=0.1)
