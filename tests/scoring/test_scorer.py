from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from image_builders import empty_scans
from PIL import Image
from tiny_model import EMBEDDING, SIZE_PX, signed, tiny_graph, tiny_model, tiny_signature

from galclass.cutouts import LOCAL, SERVED, TRUNCATED, decode
from galclass.cutouts.arrays import png_bytes
from galclass.errors import ModelError
from galclass.morphology import CLASSES, group_of
from galclass.scoring import Conformal, Scorer, Unlike
from galclass.scoring.confidence import prediction_set
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA
from galclass.scoring.walk import walk


def test_a_faulty_image_keeps_its_reason_and_the_rest_are_answered(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    good = next(iter(galaxies.values()))
    answers = scorer.score([b"", good, b"hello", good[: len(good) // 3], None], object_ids=list("abcde"))
    assert [answer.error is None for answer in answers] == [False, True, False, False, False]
    assert [answer.object_id for answer in answers] == list("abcde")
    assert answers[0].error is not None
    assert answers[0].error.code == "empty"
    assert answers[0].predicted_class is answers[0].probabilities is answers[0].embedding is None


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([7], r"images\[0\] must be bytes, a path, an array, a PIL image or a FITS HDU, not int"),
        ([b"", {}], r"images\[1\] must be bytes, a path, an array"),
        (b"abc", "images must be a list of images, not bytes: put a single image into a list"),
        (Path("1.jpg"), "images must be a list of images, not PosixPath"),
        (np.zeros((64, 64, 3), np.uint8), "images must be a list of images, not ndarray"),
        (iter([b""]), "images must be a list of images, not list_iterator"),
    ],
)
def test_what_is_no_list_of_images_is_told_what_is(scorer: Scorer, images, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        scorer.score(images)


@pytest.mark.parametrize("batch", [1, 3, 64, 70])
def test_probabilities_do_not_depend_on_the_batch(scorer: Scorer, galaxies: dict[str, bytes], batch: int) -> None:
    images = list(galaxies.values())
    whole = scorer.score(images)
    parts = [answer for at in range(0, len(images), batch) for answer in scorer.score(images[at : at + batch])]
    np.testing.assert_allclose(
        [answer.probabilities for answer in parts], [answer.probabilities for answer in whole], atol=1e-5
    )


def test_class_and_group_follow_from_the_probabilities(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    answers = scorer.score(list(galaxies.values()), object_ids=list(galaxies))
    assert len({answer.predicted_class for answer in answers}) > 2
    for answer in answers:
        assert answer.probabilities is not None
        assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
        assert answer.predicted_class == CLASSES[walk(np.array([answer.probabilities]))[0]]
        assert answer.predicted_group == group_of(answer.predicted_class)


def test_a_frame_and_its_declared_centre_get_the_same_answer(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(next(iter(galaxies.values())))) as image:
        whole, centre = io.BytesIO(), io.BytesIO()
        image.save(whole, "PNG")
        image.crop((64, 64, 360, 360)).save(centre, "PNG")
    one, other = scorer.score([whole.getvalue(), centre.getvalue()], frame_px=[None, 424])
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    "cutouts",
    [
        np.zeros((1, SIZE_PX, SIZE_PX, 3), np.float32),
        np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8),
        np.zeros((1, 3, SIZE_PX, SIZE_PX), np.uint8),
    ],
)
def test_other_shapes_and_types_are_refused(scorer: Scorer, cutouts: np.ndarray) -> None:
    with pytest.raises(ModelError, match="not cutouts"):
        scorer.score_cutouts(cutouts)


def test_no_cutouts_give_empty_outputs(scorer: Scorer) -> None:
    outputs = scorer.score_cutouts(np.zeros((0, SIZE_PX, SIZE_PX, 3), np.uint8))
    assert outputs.probabilities.shape == (0, 13)
    assert outputs.embedding.shape == (0, EMBEDDING)
    assert scorer.score([]) == []


def test_lengths_that_differ_are_an_error(scorer: Scorer) -> None:
    with pytest.raises(ValueError, match="1 images but 2 object_ids"):
        scorer.score([b""], object_ids=["a", "b"])


def test_a_model_that_gives_nan_is_an_error() -> None:
    graph = tiny_graph()
    for tensor in graph.graph.initializer:
        if tensor.name == "w2":
            tensor.raw_data = np.full((EMBEDDING, 13), np.nan, np.float32).tobytes()
    with pytest.raises(ModelError, match="not finite"):
        Scorer(signed(graph, tiny_signature())).score_cutouts(np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8))


def test_vote_fractions_stand_in_the_record_by_answer(galaxies: dict[str, bytes]) -> None:
    votes = ("t01_smooth_or_features_a01_smooth", "t03_bar_a06_bar")
    (answer,) = Scorer(tiny_model(votes=votes)).score([next(iter(galaxies.values()))])
    assert tuple(answer.vote_fractions) == votes
    row = answer.as_row()
    assert {f"{votes[1]}_debiased", f"{votes[1]}_debiased_low", f"{votes[1]}_debiased_high"} <= set(row)
    assert answer.as_json()["vote_fractions"][votes[0]]["fraction"] == row[f"{votes[0]}_debiased"]


def test_an_image_far_from_the_training_data_is_flagged(galaxies: dict[str, bytes]) -> None:
    image = next(iter(galaxies.values()))
    identity = tuple(tuple(float(i == j) for j in range(EMBEDDING)) for i in range(EMBEDDING))
    embedding = Scorer(tiny_model()).score([image])[0].embedding
    assert embedding is not None
    for mean, flags in ((tuple(map(float, embedding)), ()), ((9.0,) * EMBEDDING, (UNLIKE_TRAINING_DATA,))):
        (answer,) = Scorer(tiny_model(unlike=Unlike(mean, identity, 0.5))).score([image])
        assert answer.flags == flags


def test_prediction_sets() -> None:
    probabilities = np.zeros(13, np.float32)
    probabilities[[6, 2, 9]] = 0.5, 0.3, 0.2
    assert prediction_set(probabilities, None) == ()
    assert prediction_set(probabilities, Conformal("lac", 0.75)) == ("Sb", "Ec")
    assert prediction_set(probabilities, Conformal("lac", 0.0)) == ("Sb",)
    assert prediction_set(probabilities, Conformal("aps", 0.6)) == ("Sb", "Ec")
    assert prediction_set(probabilities, Conformal("aps", 0.4)) == ("Sb",)


def test_what_shows_nothing_or_costs_too_much_has_an_error_and_no_class(scorer: Scorer, galaxies) -> None:
    flat = BytesIO()
    Image.fromarray(np.full((64, 64, 3), 7, np.uint8)).save(flat, "PNG")
    blank, costly, good = scorer.score([flat.getvalue(), empty_scans(1000, 1000, 6000), next(iter(galaxies.values()))])
    assert blank.error is not None
    assert costly.error is not None
    assert (blank.error.code, costly.error.code, good.error) == ("no_content", "too_costly", None)
    assert blank.predicted_class is costly.predicted_class is blank.as_json()["probabilities"] is None
    pixels = np.full((3, SIZE_PX, SIZE_PX, 3), 7, np.uint8)
    pixels[1, 3, 4, 2] = 10
    codes = [one.error and one.error.code for one in scorer.predict_cutouts(pixels, object_ids=list("abc"))]
    assert codes == ["no_content", None, "no_content"]


def test_a_file_that_was_cut_off_is_flagged_among_others(scorer: Scorer, galaxies) -> None:
    good = next(iter(galaxies.values()))
    file = BytesIO()
    Image.open(BytesIO(good)).save(file, "JPEG", progressive=True)
    cut = file.getvalue()[: file.getvalue().rindex(b"\xff\xda") + 20]
    answers = scorer.score([b"", good, cut, file.getvalue()])
    assert [TRUNCATED in answer.flags for answer in answers] == [False, False, True, False]
    assert answers[2].predicted_class is not None
    assert TRUNCATED in answers[2].as_row()["flags"].split("|")


def test_a_scorer_keeps_to_its_limits() -> None:
    data = empty_scans(3000, 3000, 100)  # 0.4 s by its header
    for limits, code in ((SERVED, "too_costly"), (LOCAL, "corrupt")):
        (answer,) = Scorer(tiny_model(), limits=limits).score([data])
        assert answer.error is not None
        assert answer.error.code == code
    assert "serve.max_decode_s" in Scorer(tiny_model(), limits=SERVED).score([data])[0].error.message


def test_every_kind_of_picture_gets_the_answer_of_its_file(scorer: Scorer, galaxies, tmp_path: Path) -> None:
    from PIL import Image

    name, jpeg = next(iter(galaxies.items()))
    pixels = decode(jpeg).pixels
    png = png_bytes(pixels)
    (tmp_path / "NGC 1.png").write_bytes(png)
    picture = Image.fromarray(pixels)
    kinds = [png, bytearray(png), str(tmp_path / "NGC 1.png"), tmp_path / "NGC 1.png", pixels, picture]
    kinds += [picture.convert("RGBA"), np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])]
    found = scorer.score(kinds)
    assert {one.probabilities for one in found} == {scorer.score([png])[0].probabilities}
    assert [one.object_id for one in found] == ["0", "1", "NGC 1", "NGC 1", "4", "5", "6", "7"]
    assert [one.probabilities for one in scorer.score(np.stack([pixels] * 2))] == [found[0].probabilities] * 2


def test_an_8_bit_picture_in_other_numbers_is_refused_with_what_to_pass(scorer: Scorer, galaxies) -> None:
    pixels = decode(next(iter(galaxies.values()))).pixels
    for kind in (np.float16, np.float32, np.float64, ">f4"):
        (answer,) = scorer.score([(pixels / 255).astype(kind)])
        assert answer.error is not None
        assert "pass (array * 255).round().astype(np.uint8)" in answer.error.message
    for kind in (np.uint16, np.int64, np.float64):
        (answer,) = scorer.score([pixels.astype(kind)])
        assert answer.error is not None
        assert "pass array.astype(np.uint8), or fluxes as (3, y, x)" in answer.error.message
    for wide in (pixels, pixels[..., 0]):
        for factor in (256, 257):
            (answer,) = scorer.score([wide.astype(np.uint16) * factor])
            assert answer.error is not None
            assert f"pass (array // {factor}).astype(np.uint8)" in answer.error.message
    for resized, advice in ((pixels[::2, ::2] / 600 + 0.1, "(array * 255)"), (pixels / 1.5, "array")):
        (answer,) = scorer.score([resized])
        assert answer.error is not None
        assert f"pass {advice}.round().astype(np.uint8), or fluxes as (3, y, x)" in answer.error.message
    counts = pixels.transpose(2, 0, 1)
    noise = np.random.default_rng(0).normal(0, 0.1, (64, 64, 3))
    fluxes = [counts.astype(np.uint16), counts[0].astype(float), counts / 255 * 1000, noise, pixels - 3.0]
    assert [one.error for one in scorer.score(fluxes)] == [None] * len(fluxes)


def test_ids_are_text_or_integers_and_nothing_that_lost_digits(scorer: Scorer, galaxies) -> None:
    images = list(galaxies.values())[:2]
    for given in ([b"007", "J1.5"], np.array(["007", "J1.5"]), np.array([b"007", b"J1.5"])):
        assert [one.object_id for one in scorer.score(images, object_ids=given)] == ["007", "J1.5"]
    pandas = pytest.importorskip("pandas")
    for column in (pa.array(["007", "J1.5"]), pa.chunked_array([["007"], ["J1.5"]]), pandas.Series(["007", "J1.5"])):
        assert [one.object_id for one in scorer.score(images, object_ids=column)] == ["007", "J1.5"]
    assert [one.object_id for one in scorer.score(images, object_ids=pa.array([1, 2**63 - 1]))] == ["1", str(2**63 - 1)]
    numbers = np.array([587722981742084144, 2**64 - 1], np.uint64)
    assert [one.object_id for one in scorer.score(images, object_ids=numbers)] == [str(number) for number in numbers]
    for wrong in (numbers.astype(float), ["a", None], ["a", np.nan], np.ma.array([1, 2], mask=[0, 1]), ["a", True]):
        with pytest.raises(TypeError, match=r"object_ids\[[01]\] must be text or an integer, not "):
            scorer.score(images, object_ids=wrong)
    for wrong in (pa.array(["a", None]), pa.array([1.0, 2.0])):
        with pytest.raises(TypeError, match=r"object_ids\[[01]\] must be text or an integer, not (NoneType|float)"):
            scorer.score(images, object_ids=wrong)


def test_a_scorer_works_in_other_processes(galaxies) -> None:
    scorer = Scorer(tiny_model(), name="tiny", version=3, limits=SERVED)
    again = pickle.loads(pickle.dumps(scorer))
    images = list(galaxies.values())[:2]
    assert (again.model, again.limits, again.provider) == (scorer.model, scorer.limits, scorer.provider)
    assert [one.by_class for one in again.score(images)] == [one.by_class for one in scorer.score(images)]


def test_a_masked_picture_is_a_picture_with_black_where_it_is_masked(scorer: Scorer, galaxies) -> None:
    pixels = decode(next(iter(galaxies.values()))).pixels.copy()
    hidden = pixels > 200
    whole, masked, black = scorer.score([np.ma.array(pixels), np.ma.array(pixels, mask=hidden), pixels * ~hidden])
    assert whole.probabilities == scorer.score([pixels])[0].probabilities
    assert masked.probabilities == black.probabilities


def test_frames_may_be_a_column_and_must_be_numbers(scorer: Scorer, galaxies) -> None:
    images = list(galaxies.values())[:3]
    frames = [424, 600, 500]
    listed = [one.probabilities for one in scorer.score(images, frame_px=frames)]
    assert [one.probabilities for one in scorer.score(images, frame_px=np.array(frames))] == listed
    assert [one.probabilities for one in scorer.score(images, frame_px=pa.array(frames))] == listed
    assert scorer.embed(images, frame_px=np.array(frames)).shape[0] == 3
    with pytest.raises(ValueError, match=r"frame_px\[1\] must be a number of pixels or None, not nan"):
        scorer.score(images, frame_px=[424, float("nan"), 500])
    with pytest.raises(TypeError, match=r"frame_px\[0\] must be a number of pixels or None, not str"):
        scorer.score(images, frame_px="424")


def test_an_array_or_file_that_is_no_picture_is_one_faulty_record(scorer: Scorer, galaxies, tmp_path: Path) -> None:
    from PIL import Image

    good = next(iter(galaxies.values()))
    faulty = [
        (tmp_path / "none.png", "unreadable", "No such file"),
        (tmp_path, "unreadable", "Is a directory"),
        (np.zeros((64, 64, 5), np.uint8), "unsupported", "shape"),
        (np.zeros((2, 64, 64)), "unsupported", "shape"),
        (np.zeros((64, 64), bool), "unsupported", "array of bool"),
        (np.zeros((8, 8, 3), np.uint8), "too_small", "too small"),
        (np.full((64, 64), np.nan), "no_content", "no pixel"),
        (Image.new("F", (64, 64)), "unsupported", "mode F"),
        (np.zeros((6000, 6000), np.uint8), "too_large", "too large"),
    ]
    found = scorer.score([good, *(image for image, _, _ in faulty), good])
    assert found[0].error is found[-1].error is None
    for one, (_, code, told) in zip(found[1:-1], faulty, strict=True):
        assert one.error is not None
        assert one.error.code == code
        assert told in one.error.message
