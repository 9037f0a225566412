"""The model card says what the run says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from galclass.evaluate.card import model_card
from galclass.scoring.signature import Signature
from galclass.scoring.signature_parts import Conformal

ROOT = Path(__file__).resolve().parents[2]
TABLE = {
    "count": 105,
    "accuracy": [0.5, 0.4, 0.6],
    "balanced_accuracy": [0.3, 0.2, 0.4],
    "macro_f1": [0.25, 0.2, 0.3],
    "majority_rate": 0.21,
    "class_error": {"Er": 0.125, "SBa": None},
}
TRAINED = {
    "config": {"download": {"source": "sample"}, "train": {"topology": "residual", "num_epochs": 40}},
    "split_ids_sha256": {"test": "ab" * 32},
    "seed": 12345,
    "best_iteration": 31,
    "galclass_version": "0.1.0",
}


def card_of(**entries: object) -> str:
    signature = Signature(64, 204 / 424, "0" * 64, 192, trained=TRAINED, **entries)  # type: ignore[arg-type]
    metrics = {"tables": {"13 classes": TABLE}, "expected_calibration_error": 0.0312, "volunteers": None}
    metrics["reliability"] = {"count": [100, 23]}
    return model_card(signature, "cd" * 32, metrics, "test")


def test_card_states_figures_with_intervals_and_hashes() -> None:
    text = card_of(conformal=Conformal("aps", 0.95, 0.9))
    assert "| 13 classes | 105 | 0.500 (0.400-0.600) | 0.300 (0.200-0.400) | 0.250 (0.200-0.300) | 0.210 |" in text
    assert "Er 0.125" in text
    assert "SBa" not in text
    assert "expected calibration error, all 123 objects whose label is one of the 13 classes: 0.031" in text
    assert "ab" * 32 in text
    assert "cd" * 32 in text
    assert "aps, nominal coverage 90%" in text
    assert "topology residual, 40 epochs (best: 31), seed 12345" in text


def test_card_states_the_spread_over_seeds() -> None:
    seeds = {
        "count": 3,
        "accuracy": {"13 classes": [0.51, 0.012]},
        "balanced_accuracy": {"13 classes": [0.31, 0.02]},
        "natural": {"13 classes": [0.6, 0.004]},
    }
    metrics = {"tables": {"13 classes": TABLE}, "seeds": seeds}
    text = model_card(Signature(64, 204 / 424, "0" * 64, 192, trained=TRAINED), "cd" * 32, metrics, "test")
    assert "over 3 seeds" in text
    expected = "13 classes: accuracy 0.510 ± 0.012, balanced 0.310 ± 0.020, at natural frequencies 0.600 ± 0.004"
    assert expected in text


def test_card_of_another_survey_claims_nothing_of_sdss() -> None:
    trained = {"config": {"prepare": {"images": "mine/cutouts"}, "download": {"source": "sample"}}}
    metrics = {"tables": {"13 classes": TABLE}}
    text = model_card(Signature(64, 204 / 424, "0" * 64, 192, trained=trained), "cd" * 32, metrics, "train")
    assert "sources: mine/cutouts" in text
    assert "On the train split; 95 %" in text
    assert "SDSS" not in text
    assert "Galaxy Zoo 1 (Lintott" not in text
    assert "Galaxy Zoo 1 (Lintott" in card_of()


def test_card_claims_symmetry_only_of_networks_that_have_it() -> None:
    plain = {"config": {"train": {"topology": "timm:resnet18"}}}
    claims = [
        model_card(
            Signature(64, 204 / 424, "0" * 64, 192, views=views, trained=trained), "cd" * 32, {"tables": {}}, "test"
        )
        for views, trained in ((1, TRAINED), (8, plain), (1, plain))
    ]
    assert [("same prediction by construction" in card, "may differ" in card) for card in claims] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def test_card_of_a_bare_model_says_what_it_lacks() -> None:
    text = card_of()
    assert "prediction sets: none" in text
    assert "out-of-distribution flag: none" in text


def test_card_of_a_model_of_raw_votes_says_what_its_sets_promise() -> None:
    figure = {"value": 0.9, "low": 0.88, "high": 0.92}
    sets = {"count": 200, "covered": 180, "promised": 0.9, "low": 0.85, "high": 0.95, "mean_size": 3.5}
    of_votes = {
        "galaxies": 200,
        "first_answer": figure,
        "covered": figure,
        "smooth_calibration_error": {"value": 0.015, "low": 0.01, "high": 0.03},
        "sets": sets,
        "flagged": 0.0125,
    }
    trained = {**TRAINED, "config": {**TRAINED["config"], "train": {"survey_share": 0.4, "survey_scale": 2.0}}}
    signature = Signature(64, 204 / 424, "0" * 64, 192, trained=trained, raw=True)
    text = model_card(
        signature, "cd" * 32, {"tables": {"13 classes": TABLE}, "raw_votes": {"vo_tes": of_votes}}, "test"
    )
    assert "raw votes, vo_tes (200 galaxies): first answer agrees with the volunteers' for 0.900 (0.880-0.920)" in text
    assert "calibration error of the smooth fraction 0.015 (0.010-0.030)" in text
    assert "the votes for 0.900 (nominal 90%, 0.850-0.950 for samples of this size), 3.5 classes on average" in text
    assert "out-of-distribution: 1.2%" in text
    assert "40% of the cutouts were shown at 0.5 to 2 times their scale" in text
    assert "Debiasing needs the" in text


def test_the_packaged_models_card_says_whose_raw_votes_it_has() -> None:
    text = (ROOT / "src/galclass/scoring/shipped/galaxy.card.md").read_text()
    assert "Raw votes are those of the Galaxy Challenge" in text
    assert "are recorded: `galclass evaluate --catalog` leaves them out" in text
    assert "are recorded" not in card_of()
    assert (ROOT / "docs" / "model-card.md").read_text() == text


def test_the_committed_ids_are_those_the_shipped_model_was_trained_on() -> None:
    card = json.loads((ROOT / "src/galclass/scoring/shipped/galaxy.card.json").read_text())
    ids = {path.stem: path.read_text() for path in (ROOT / "configs" / "shipped_ids").glob("*.txt")}
    assert {split: hashlib.sha256(text.encode()).hexdigest() for split, text in ids.items()} == card["trained"][
        "split_ids_sha256"
    ]
    splits = {split: set(text.split("\n")) for split, text in ids.items()}  # in two sources an id stands twice
    together = set().union(*splits.values())
    assert sum(len(split) for split in splits.values()) == len(together) > 30_000
