"""Predictions in a notebook: HTML without a hole, tables without a loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_model import tiny_model

import galclass
from galclass.errors import DatabaseError, ModelError
from galclass.scoring import Prediction, Predictions, Scorer
from galclass.scoring.prediction import ModelId

ATTACK = '<script>alert("x")</script>&'


def test_a_gallery_shows_picture_class_and_bars(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    found = scorer.score([*list(galaxies.values())[:2], b"no image"], object_ids=["a", "b", ATTACK])
    html = found._repr_html_()
    assert html.count("data:image/png;base64,") == 2
    assert found[0].predicted_class in html
    assert "not_an_image" in html
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert found[0]._repr_html_() in html
    assert isinstance(found[:2], Predictions)
    assert found[0].cutout is not None
    assert found[0].cutout.shape == (scorer.signature.size_px,) * 2 + (3,)


def test_names_of_models_and_reasons_are_escaped() -> None:
    one = Prediction("1", ModelId(ATTACK, 1, "0"), predicted_class=ATTACK, probabilities=(1.0,) + (0.0,) * 12,
                     prediction_set=(ATTACK,), flags=(ATTACK,))  # fmt: skip
    assert "<script" not in one._repr_html_()
    assert one._repr_html_().count("&lt;script&gt;") == 4


def test_long_galleries_say_how_many_more(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    one = scorer.score(list(galaxies.values())[:1])[0]
    assert "and 40 more" in Predictions([one] * 100)._repr_html_()


def test_predictions_turn_into_tables(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    found = scorer.score([*list(galaxies.values())[:3], b""], object_ids=["1", "2", "3", "587722981741363294"])
    arrow, frame, table = found.to_arrow(), found.to_pandas(), found.to_astropy()
    assert arrow["object_id"].to_pylist() == frame["object_id"].tolist() == list(table["object_id"])
    assert list(frame["predicted_Sb"][:3]) == [one.by_class["Sb"] for one in found[:3]]
    assert table["predicted_Sb"].mask.tolist() == [False, False, False, True]
    assert table["predicted_class"][3] == ""
    assert Predictions().to_arrow().num_rows == len(Predictions().to_astropy()) == 0


def test_embeddings_are_rows_of_float32(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    images = [*list(galaxies.values())[:2], b""]
    made = scorer.embed(images)
    assert made.dtype == np.float32
    assert np.array_equal(made, scorer.score(images).embeddings(), equal_nan=True)
    assert np.isnan(made[2]).all()
    assert scorer.embed([]).shape == (0, made.shape[1])


def test_votes_are_plotted(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    one = Scorer().score(list(galaxies.values())[:1])[0]
    votes = one.raw_vote_fractions or one.vote_fractions or {"t01_smooth_or_features_a01_smooth": (0.5, 0.2, 0.8)}
    figure = replace(one, vote_fractions=votes, object_id="$x^").plot_votes()
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert len(figure.axes[0].patches) == len(votes)
    with pytest.raises(ModelError, match="no vote fractions"):
        replace(one, vote_fractions={}, raw_vote_fractions={}).plot_votes()


def test_a_scorer_is_opened_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    (tmp_path / "m.onnx").write_bytes(model)
    assert galclass.open_scorer(tmp_path / "m.onnx").sha256 == galclass.open_scorer(str(tmp_path / "m.onnx")).sha256
    with pytest.raises(DatabaseError, match="no database at"):
        galclass.open_scorer("mine@production", workspace=tmp_path)
    assert not list(tmp_path.glob("*.db"))
    url = f"sqlite:///{tmp_path}/galclass.db"
    with galclass.open_database(url) as database:
        galclass.database.Registry(database).register(model, name="mine", aliases=("production",))
    assert galclass.open_scorer("mine@production", database=url).model.version == 1
    monkeypatch.setenv("GALCLASS_DATABASE", url)
    assert galclass.open_scorer("mine@1").model.name == "mine"
    assert galclass.open_scorer().model.version == 0


def test_tables_of_faulty_images_have_the_types_of_others(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    from astropy.table import vstack

    good, faulty = scorer.score(list(galaxies.values())[:2]), scorer.score([b"", b"x"])
    for name in good.to_astropy().colnames:
        if name in faulty.to_astropy().colnames:
            assert faulty.to_astropy()[name].dtype.kind == good.to_astropy()[name].dtype.kind, name
    together = vstack([good.to_astropy(), faulty.to_astropy()])
    assert together["predicted_Sb"].mask.tolist() == [False, False, True, True]


def test_galleries_add_up_to_one(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    found = scorer.score(list(galaxies.values())[:2])
    assert isinstance(found + found, Predictions)
    assert len(found + found[:1]) == 3


def test_a_long_class_does_not_run_over_its_bar() -> None:
    classes = ("a", "no_ring_but_a_shell")
    one = Prediction("1", ModelId("m", 1, "0"), predicted_class="a", probabilities=(0.25, 0.75), classes=classes)
    html = one._repr_html_()
    assert html.count("text-overflow:ellipsis") == 2
    assert html.count(";width:88px") == 2
    assert 'title="no_ring_but_a_shell"' in html
