"""The Ray Serve deployment answers with the service's record; Serve itself is not installed for the tests."""

from __future__ import annotations

from tiny_model import tiny_model

from galclass.cluster.serve import ScorerReplica
from galclass.scoring import Scorer


def test_a_replica_gives_the_record_of_the_service(tmp_path, galaxies) -> None:
    (tmp_path / "model.onnx").write_bytes(tiny_model())
    images = [*galaxies.values()][:3] + [b"<html>"]
    records = ScorerReplica(str(tmp_path / "model.onnx")).score(images)
    assert records == [answer.as_json() for answer in Scorer(tiny_model()).score(images)]
    assert records[3]["error"]["code"] == "not_an_image"
