"""Markup in names, labels and ids stays text in the report and the model card."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import markdown
import numpy as np

from galclass.evaluate.card import model_card
from galclass.evaluate.metrics import Classification, Interval
from galclass.evaluate.reliability_checks import Trust
from galclass.evaluate.report import ReportContent, write_report
from galclass.morphology import CLASSES
from galclass.scoring import ModelId, Prediction
from galclass.scoring.signature import Signature

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> $\\frac$ | `code` [a](javascript:x)'


class Elements(HTMLParser):
    """Collects what a browser would make of a page: elements with their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def elements(html: str) -> Elements:
    parser = Elements()
    parser.feed(html)
    return parser


def assert_inert(page: Elements) -> None:
    assert not [tag for tag, _ in page.found if tag in ("script", "iframe", "object", "embed", "b")]
    assert not [key for _, attributes in page.found for key in attributes if key.startswith("on")]
    for tag, attributes in page.found:
        assert tag != "img" or attributes["src"].startswith("data:image/jpeg;base64,")
        assert not (attributes.get("href") or "").lower().startswith("javascript")


def table_of(name: str) -> Classification:
    figure = Interval(0.5, 0.4, 0.6)
    return Classification((name, "S"), np.array([[1, 0], [1, 0]]), figure, figure, figure, 0.5)


def prediction(object_id: str) -> Prediction:
    probabilities = tuple(1.0 if leaf == CLASSES[0] else 0.0 for leaf in CLASSES)
    return Prediction(object_id, ModelId("galaxy", 1, "0" * 64), probabilities=probabilities, predicted_class=HOSTILE)


def test_nothing_in_the_report_becomes_markup(tmp_path: Path) -> None:
    content = ReportContent(
        split=HOSTILE,
        model_sha256=HOSTILE,
        tables={HOSTILE: table_of("<b>$\\frac$")},
        calibration=None,
        human_baseline=None,
        natural={HOSTILE: Interval(0.5, 0.4, 0.6)},
        trust=Trust(calibration={}, coverage=None, artifacts=None),
        votes=None,
        raw_votes={},
        labels=[CLASSES[0], CLASSES[1]],
        predictions=[prediction(HOSTILE), prediction("2")],
        images=lambda chosen: np.zeros((len(chosen), 8, 8, 3), np.uint8),
        gallery=2,
    )
    write_report(content, tmp_path / "report.html")
    page = elements((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert_inert(page)
    assert page.text.count(HOSTILE) >= 7
    assert page.text.count("<b>$\\frac$") >= 3  # in both axes of the plot, and the table
    assert ("img", f"galaxy {HOSTILE}") in [(tag, attributes.get("alt")) for tag, attributes in page.found]


def test_nothing_in_the_card_becomes_markup() -> None:
    hostile = HOSTILE + "\n\n# heading\n<b>"
    trained = {
        "config": {"prepare": {"sources": [{"name": hostile}]}, "train": {"topology": hostile}},
        "split_ids_sha256": {hostile: "ab" * 32},
    }
    figure = [0.5, 0.4, 0.6]
    table = {"count": 1, "accuracy": figure, "balanced_accuracy": figure, "macro_f1": figure, "majority_rate": 0.5}
    metrics = {"tables": {hostile: {**table, "class_error": {hostile: 0.5}}}, "natural": {hostile: figure}}
    signature = Signature(64, 204 / 424, "0" * 64, 192, trained=trained, calibration={hostile: hostile})
    text = model_card(signature, "cd" * 32, metrics, "test")
    page = elements(markdown.markdown(text, extensions=["tables"]))
    assert_inert(page)
    assert not [tag for tag, _ in page.found if tag in ("img", "a")]
    assert len([line for line in text.splitlines() if line.startswith("#")]) == 5
    assert len({line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("|")}) == 1


def test_pictures_are_right_or_wrong_by_the_predicted_class_and_show_its_probability(tmp_path: Path) -> None:
    model, leaves = ModelId("galaxy", 1, "0" * 64), dict.fromkeys(CLASSES, 0.0)
    probabilities = tuple({**leaves, "Er": 0.45, "Sb": 0.31}.values())  # the walk ends at Sb all the same
    walked = Prediction("walked", model, probabilities=probabilities, predicted_class="Sb")
    content = ReportContent(
        split="test", model_sha256="0", tables={"t": table_of("E")}, calibration=None, human_baseline=None, natural={},
        trust=Trust(calibration={}, coverage=None, artifacts=None), votes=None, raw_votes={},
        labels=["Sb"], predictions=[walked], gallery=2,
        images=lambda chosen: np.zeros((len(chosen), 8, 8, 3), np.uint8),
    )  # fmt: skip
    write_report(content, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0.31" in html
    assert "0.45" not in html
    heading = html.rfind("<h2>", 0, html.index("galaxy walked"))
    assert "right" in html[heading : html.index("</h2>", heading)].lower()
