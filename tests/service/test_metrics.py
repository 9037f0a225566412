"""What /metrics says of predictions, and the dashboard that shows it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from tiny_model import tiny_model

from galclass.scoring import Scorer
from galclass.service.http.metrics import Metrics, Predicted, Shadowed

DASHBOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana.json"


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found[one.name, tuple(sorted(one.labels.items()))] = one.value
    return found


def test_classes_confidence_and_sizes_are_counted_by_version(client: TestClient, galaxies: dict[str, bytes]) -> None:
    upload = [("image", (f"{name}.jpg", data, "image/jpeg")) for name, data in galaxies.items()]
    upload.append(("image", ("bad.jpg", b"no image", "image/jpeg")))
    assert client.post("/v1/services/galaxy-class/latest/predict", files=upload).status_code == 200
    found = samples(client.get("/metrics").text)
    of = (("service", "galaxy-class"), ("version", "1.0"))
    expected = Scorer(tiny_model(0)).score(list(galaxies.values()))
    for name, count in Counter(one.predicted_class for one in expected).items():
        assert found["galclass_predictions_total", tuple(sorted((("predicted_class", name), *of)))] == count
    assert found["galclass_confidence_count", of] == len(galaxies)  # the faulty one has none
    assert abs(found["galclass_confidence_sum", of] - sum(max(one.probabilities) for one in expected)) < 1e-4
    assert found["galclass_image_bytes_count", of] == len(galaxies) + 1
    assert found["galclass_image_bytes_sum", of] == sum(map(len, galaxies.values())) + len(b"no image")
    flagged = sum("unlike_training_data" in one.flags for one in expected)
    assert found["galclass_unlike_training_data_total", of] == flagged


def test_flagged_images_are_counted_and_versions_kept_apart() -> None:
    metrics = Metrics()
    for version, unlike in (("1.0", True), ("1.0", False), ("1.1", True)):
        metrics.count_prediction(Predicted("s", version, "Er", 0.5, unlike, 10))
    found = samples(metrics.text().decode())
    name = "galclass_unlike_training_data_total"
    assert found[name, (("service", "s"), ("version", "1.0"))] == 1
    assert found[name, (("service", "s"), ("version", "1.1"))] == 1


def test_the_dashboard_asks_for_what_there_is() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    metrics = Metrics()
    metrics.count_prediction(Predicted("s", "1.0", "Er", 0.5, True, 10))
    metrics.record("GET", "/", 200, 0.1)
    metrics.count_image("s", "ok")
    metrics.count_scoring(0.1)
    metrics.count_shadow(Shadowed("s", "1.0", "1.1", "same"), 0.1)
    known = {(name, label) for name, labels in samples(metrics.text().decode()) for label, _ in (*labels, ("", ""))}
    names = {name for name, _ in known}
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 8
    for expression in expressions:
        for name, labels in re.findall(r"(galclass_\w+)(?:\{([^}]*)\})?", expression):
            assert name in names, name
            for label in re.findall(r"(\w+)=~", labels):
                assert (name, label) in known, f"{name} has no label {label}"
        for label in re.findall(r"by \(([^)]*)\)", expression):
            assert {one.strip() for one in label.split(",")} <= {label for _, label in known}
