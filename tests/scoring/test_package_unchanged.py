"""The first packaged model, of format 1, answers as the version before raw votes did (tests/fixtures)."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from galclass.scoring import METADATA_KEY, Scorer, Signature, shipped_model
from galclass.scoring.output import PredictionFile

FIXTURES = Path(__file__).parent.parent / "fixtures"
KEPT = json.loads((FIXTURES / "package_records.json").read_text())
FORMAT_1 = Path(__file__).resolve().parents[2] / "models" / "galaxy-format1.onnx"
"""The model that the package had when the records were made."""


def test_records_and_columns_are_those_of_before(sample_folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[:4]
        data = [archive.read(name) for name in names]
    scorer = Scorer(FORMAT_1, name="galaxy", version=1)
    ids = [*(Path(name).stem for name in names), "broken"]
    answers = scorer.score([*data, data[0][:500]], object_ids=ids)
    for answer, text in zip(answers, KEPT["records"], strict=True):
        new, old = answer.as_json(), json.loads(text)
        assert list(_flat(new)) == list(_flat(old))  # keys in their order
        for one, other in zip(_flat(new).values(), _flat(old).values(), strict=True):
            if isinstance(other, float):
                np.testing.assert_allclose(one, other, atol=1e-5)  # another processor rounds otherwise
            else:
                assert one == other
    assert PredictionFile(tmp_path / "x.csv", scorer.signature).columns == tuple(KEPT["columns"])


@pytest.mark.parametrize("content", [FORMAT_1.read_bytes, shipped_model])
def test_a_packaged_models_signature_is_written_as_it_was_read(content: Callable[[], bytes]) -> None:
    model = onnx.load_from_string(content())
    (text,) = (entry.value for entry in model.metadata_props if entry.key == METADATA_KEY)
    assert Signature.from_json(text).to_json() == text


def _flat(record: dict, before: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in record.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return found
