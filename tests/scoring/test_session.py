"""Files that are no model of ours are refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper
from tiny_model import SIZE_PX, signed, tiny_graph, tiny_model, tiny_signature

from galclass.errors import ModelError
from galclass.scoring import Scorer, check_probe


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x07", b"PK\x03\x04" + bytes(100)])
def test_bytes_that_are_no_onnx_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        Scorer(data)


def test_a_truncated_model_is_refused() -> None:
    data = tiny_model()
    for size in (len(data) // 4, len(data) // 2, len(data) - 1):
        with pytest.raises(ModelError):
            Scorer(data[:size])


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    payload = b"cos\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR."
    with pytest.raises(ModelError):
        Scorer(payload)
    assert not trap.exists()


def test_an_onnx_file_of_someone_else_is_called_foreign() -> None:
    with pytest.raises(ModelError, match="foreign"):
        Scorer(tiny_graph().SerializeToString())


def test_other_preprocessing_is_refused() -> None:
    with pytest.raises(ModelError, match="different preprocessing"):
        Scorer(signed(tiny_graph(), tiny_signature(preprocessing_sha256="0" * 64)))


def test_a_graph_that_is_not_what_the_signature_says_is_refused() -> None:
    with pytest.raises(ModelError, match="shape"):
        Scorer(signed(tiny_graph(), tiny_signature(embedding_size=9)))
    with pytest.raises(ModelError, match="no output 'vote_fractions'"):
        Scorer(signed(tiny_graph(), tiny_signature(vote_columns=("t01_smooth_or_features_a01_smooth",))))


def test_a_fixed_batch_size_is_refused() -> None:
    graph = tiny_graph()
    del graph.graph.input[:]
    graph.graph.input.append(helper.make_tensor_value_info("cutouts", TensorProto.UINT8, [1, 3, SIZE_PX, SIZE_PX]))
    with pytest.raises(ModelError, match="fixed batch size"):
        Scorer(signed(graph, tiny_signature()))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere.onnx"):
        Scorer(tmp_path / "nowhere.onnx")


def test_changed_weights_show_in_the_probe() -> None:
    assert check_probe(Scorer(tiny_model(seed=1))) == pytest.approx(0, abs=1e-6)
    honest = Scorer(tiny_model(seed=1)).signature
    tampered = Scorer(signed(tiny_graph(seed=2), honest))
    with pytest.raises(ModelError, match="probe image"):
        check_probe(tampered)


def test_a_model_without_a_probe_is_not_judged() -> None:
    assert check_probe(Scorer(signed(tiny_graph(), tiny_signature()))) is None
