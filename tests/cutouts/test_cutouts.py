"""One function from bytes to pixels: contract geometry, exact arithmetic, the same answer on every way."""

from __future__ import annotations

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from galclass.cutouts import CutoutParameters, cutout, decode, flagged_cutout, has_content, stored_cutout, views
from galclass.cutouts.geometry import sampling_plan
from galclass.errors import ConfigError, CutoutError

SIZES = [50, 64, 96]
ANGLES = (0, 45, 90)


def code_of(data: bytes, **options) -> str:
    with pytest.raises(CutoutError) as caught:
        cutout(data, CutoutParameters(), **options)
    return caught.value.code


def exact_views(data: bytes, parameters: CutoutParameters, angles, frame_px: float) -> np.ndarray:
    """The same sampling by plain float64 arithmetic."""
    decoded_header = decode(data).header
    size = parameters.size_px
    crop_px = parameters.crop_fraction * frame_px
    plan = sampling_plan(decoded_header.width, decoded_header.height, crop_px, size, size, angles)
    pixels = decode(data, plan.reduction).pixels.astype(np.float64)
    if plan.smooth:
        padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), "edge")
        padded = (padded[:-2] + 6 * padded[1:-1] + padded[2:]) / 8
        pixels = (padded[:, :-2] + 6 * padded[:, 1:-1] + padded[:, 2:]) / 8
    x, y = plan.x.astype(np.float64) + plan.columns.start, plan.y.astype(np.float64) + plan.rows.start
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[..., None], (y - top)[..., None]

    def at(row, column):
        return pixels[np.clip(row, 0, len(pixels) - 1), np.clip(column, 0, pixels.shape[1] - 1)]

    upper = at(top, left) * (1 - fx) + at(top, left + 1) * fx
    lower = at(top + 1, left) * (1 - fx) + at(top + 1, left + 1) * fx
    return np.floor(upper * (1 - fy) + lower * fy + 0.5).astype(np.uint8).reshape(len(angles), size, size, 3)


def test_a_file_smaller_than_the_crop_of_its_frame_is_rejected(encode, sky) -> None:
    assert code_of(encode(sky(150), "PNG"), frame_px=424) == "too_small"


@pytest.mark.parametrize(
    ("height", "width", "frame", "accepted"),
    [
        (424, 424, 100, False),
        (424, 424, 422, False),
        (424, 424, 423, True),
        (424, 424, 424, True),
        (295, 295, 423, True),
        (500, 424, 424, True),
        (424, 500, 424, True),
        (500, 600, 424, False),
        (500, 600, None, True),
    ],
)
def test_a_frame_is_not_smaller_than_the_file_cut_from_it(
    encode, sky, height: int, width: int, frame: int | None, accepted: bool
) -> None:
    data = encode(sky(600)[:height, :width], "PNG")
    if accepted:
        assert cutout(data, CutoutParameters(), frame_px=frame).shape == (64, 64, 3)
    else:
        assert code_of(data, frame_px=frame) == "frame_too_small"


@pytest.mark.parametrize("values", [{"size_px": 7}, {"size_px": 2000}, {"crop_fraction": 0.0}, {"crop_fraction": 1.1}])
def test_impossible_parameters_are_refused(values) -> None:
    with pytest.raises(ConfigError):
        CutoutParameters(**values)


def test_the_hash_depends_on_every_parameter_and_is_stable() -> None:
    hashes = {CutoutParameters().sha256, CutoutParameters(50).sha256, CutoutParameters(64, 0.5).sha256}
    assert len(hashes) == 3
    assert CutoutParameters(64, 204 / 424).sha256 == CutoutParameters().sha256


@pytest.mark.parametrize("size_px", SIZES)
@pytest.mark.parametrize("frame", ["424", "423"])
def test_the_central_part_of_a_frame_gives_the_same_cutouts_as_the_frame(galaxy, size_px: int, frame: str) -> None:
    parameters = CutoutParameters(size_px)
    for asset in ("103169", "247923"):
        whole = galaxy(f"gz2_{asset}.jpg" if frame == "424" else f"gz2_{asset}_423.jpg")
        part = galaxy(f"gz2_{asset}_{int(frame) - 128}of{frame}.jpg")
        expected = views(whole, parameters, ANGLES)
        np.testing.assert_array_equal(views(part, parameters, ANGLES, frame_px=int(frame)), expected)
        np.testing.assert_array_equal(views(whole, parameters, ANGLES, frame_px=int(frame)), expected)


@pytest.mark.parametrize(("stored", "frame"), [(300, 424), (212, 400), (301, 423), (256, 512)])
def test_any_centred_part_of_a_png_frame_gives_the_same_cutout(encode, sky, stored: int, frame: int) -> None:
    picture = sky(frame)
    edge = (frame - stored) // 2
    part = picture[edge : edge + stored, edge : edge + stored]
    parameters = CutoutParameters(96, 0.4)
    np.testing.assert_array_equal(
        cutout(encode(part, "PNG"), parameters, frame_px=frame), cutout(encode(picture, "PNG"), parameters)
    )


@pytest.mark.parametrize("size_px", [*SIZES, 100, 128])
def test_every_pixel_is_the_exact_sum_rounded_half_up(galaxy, size_px: int) -> None:
    data, parameters = galaxy("gz2_247923.jpg"), CutoutParameters(size_px)
    np.testing.assert_array_equal(
        views(data, parameters, (0, 45, 30)), exact_views(data, parameters, (0.0, 45.0, 30.0), 424)
    )


def test_half_a_grey_level_rounds_up(encode) -> None:
    columns = np.tile(np.array([10, 11], np.uint8), 64)
    picture = np.repeat(np.repeat(columns[None, :, None], 128, 0), 3, 2)
    picture[64:] += 100
    found = cutout(encode(picture, "PNG"), CutoutParameters(64, 1.0))
    assert (found[:32] == 11).all()  # the mean of 10 and 11
    assert (found[32:] == 111).all()


@pytest.mark.parametrize("size_px", SIZES)
def test_one_view_is_the_same_alone_and_among_others(galaxy, size_px: int) -> None:
    data, parameters = galaxy("gz2_103169.jpg"), CutoutParameters(size_px)
    angles = (0, 45, 90, 135, 17.5, -45, 360, 0)
    together = views(data, parameters, angles)
    for angle, view in zip(angles, together, strict=True):
        np.testing.assert_array_equal(cutout(data, parameters, angle_deg=angle), view)


def test_the_answer_does_not_depend_on_threads(galaxy) -> None:
    data = [galaxy("gz2_103169.jpg"), galaxy("gz2_247923_296of424.jpg")] * 8
    frames = [None, 424] * 8
    parameters = CutoutParameters(96)
    expected = [views(d, parameters, frame_px=f) for d, f in zip(data, frames, strict=True)]
    before = cv2.getNumThreads()
    try:
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(lambda d, f: views(d, parameters, frame_px=f), data, frames))
            np.testing.assert_array_equal(np.stack(found), np.stack(expected))
    finally:
        cv2.setNumThreads(before)


def test_quarter_turns_move_whole_pixels_counter_clockwise(galaxy) -> None:
    data, parameters = galaxy("gz2_103169.jpg"), CutoutParameters(50)
    upright, *turned = views(data, parameters, (0, 90, 180, 270))
    for quarters, view in enumerate(turned, start=1):
        np.testing.assert_array_equal(view, np.rot90(upright, quarters))


def test_a_turned_file_gives_the_turned_cutout(encode, sky) -> None:
    picture, parameters = sky(424), CutoutParameters(64)
    np.testing.assert_array_equal(
        views(encode(np.rot90(picture), "PNG"), parameters), views(encode(picture, "PNG"), parameters, (90, 135, 180))
    )


def test_the_rotated_view_has_sky_in_its_corners(encode) -> None:
    picture = np.full((424, 424, 3), 80, np.uint8)
    picture[200:224, 200:224, 2] = 200  # a galaxy
    found = cutout(encode(picture, "PNG"), CutoutParameters(50), angle_deg=45)
    assert (found[..., :2] == 80).all()
    assert (found[[0, 0, -1, -1], [0, -1, 0, -1]] == 80).all()


@pytest.mark.parametrize("size_px", SIZES)
def test_the_middle_of_a_stored_cutout_is_the_cutout(galaxy, size_px: int) -> None:
    parameters = CutoutParameters(size_px)
    margin = (parameters.store_side_px - size_px) // 2
    for name, frame in (("gz2_247923.jpg", None), ("gz2_247923_295of423.jpg", 423)):
        stored = stored_cutout(galaxy(name), parameters, frame_px=frame)
        middle = stored[margin : margin + size_px, margin : margin + size_px]
        np.testing.assert_array_equal(middle, cutout(galaxy(name), parameters, frame_px=frame))


@pytest.mark.parametrize(("size_px", "side"), [(50, 72), (64, 92), (96, 136), (51, 73)])
def test_a_stored_cutout_covers_the_crop_at_any_angle(size_px: int, side: int) -> None:
    assert CutoutParameters(size_px).store_side_px == side
    assert side >= size_px * 2**0.5


def test_pixels_outside_the_file_are_clamped_to_its_border(encode) -> None:
    picture = np.full((204, 204, 3), 50, np.uint8)
    picture[:, -4:] = 200  # one decoded pixel
    stored = stored_cutout(encode(picture, "PNG"), CutoutParameters(50), frame_px=424)
    assert (stored[:, 63:] == 200).all()
    assert (stored[:, :10] == 50).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(424, 424), (300, 400)])
def test_the_exif_orientation_is_applied(encode, sky, orientation: int, shape: tuple[int, int]) -> None:
    image = Image.fromarray(sky(*shape))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    expected = image.transpose(upright[orientation]) if orientation > 1 else image
    angles = (0, 45, 90, 200)
    for size_px in (50, 96):
        found = views(encode(image, "PNG", exif=exif), CutoutParameters(size_px), angles)
        wanted = views(encode(expected, "PNG"), CutoutParameters(size_px), angles)
        np.testing.assert_array_equal(found[[0, 2]], wanted[[0, 2]])
        assert np.abs(found.astype(int) - wanted).max() <= 1  # a sine and a cosine swap their last bit


def test_the_shorter_side_of_a_full_frame_counts(encode, sky) -> None:
    picture = sky(600, 400)
    square = picture[:, 100:500]
    np.testing.assert_array_equal(
        cutout(encode(picture, "PNG"), CutoutParameters(50)), cutout(encode(square, "PNG"), CutoutParameters(50))
    )


@pytest.mark.parametrize("size_px", SIZES)
def test_a_cutout_is_near_the_mean_over_each_pixels_area(galaxy, size_px: int) -> None:
    data = galaxy("gz2_247923.jpg")
    crop = decode(data).pixels[110:314, 110:314]
    area = cv2.resize(crop.astype(np.float32), (size_px, size_px), interpolation=cv2.INTER_AREA)
    assert np.abs(cutout(data, CutoutParameters(size_px)) - area).mean() < 1.5


def test_fine_stripes_average_out_instead_of_aliasing(encode) -> None:
    stripes = np.zeros((424, 424, 3), np.uint8)
    stripes[:, ::2] = 200
    stripes[212:, :, 2] = 50
    found = cutout(encode(stripes, "PNG"), CutoutParameters(64))
    assert np.abs(found[..., :2].astype(int) - 100).max() <= 1


def test_a_small_image_is_enlarged(encode, sky) -> None:
    found = cutout(encode(sky(64), "PNG"), CutoutParameters(64))
    assert found.shape == (64, 64, 3)
    assert found.std() > 5


def test_importing_the_decoder_needs_no_tables() -> None:
    import subprocess

    code = "import sys, galclass.cutouts; print('pyarrow' in sys.modules or 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("span", [0, 1, 2])
def test_a_picture_without_content_has_no_cutout(encode, span: int) -> None:
    picture = np.full((128, 128, 3), 90, np.uint8)
    picture[::2] += np.uint8(span)
    picture[:20] = 255  # outside of the crop
    for make in (cutout, views, stored_cutout, flagged_cutout):
        with pytest.raises(CutoutError) as caught:
            make(encode(picture, "PNG"), CutoutParameters(62, 62 / 128))
        assert caught.value.code == "no_content"


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_three_levels_in_one_channel_are_content(encode, channel: int) -> None:
    picture = np.full((128, 128, 3), 90, np.uint8)
    picture[60:70, 40:44, channel] += 3
    assert has_content(cutout(encode(picture, "PNG"), CutoutParameters(128, 1.0)))


# The pixels of ordinary files as they have been since version 1 of the algorithm.
KNOWN = {
    ("gz2_103169.jpg", None): "3eb48aa0c0e0656587777bc6f4c79f33dab96fb3105424a30c6b57c5cb284438",
    ("gz2_247923.jpg", None): "4c248674f021b0f1340038b407b0131cbb56997ff37033ebf10d07dc359f3912",
    ("gz2_103169_295of423.jpg", 423): "fc64518a125dde747b9f915228cc07936bb39cc125504678e18635495f20248a",
}


@pytest.mark.parametrize(("name", "frame_px"), sorted(KNOWN, key=str))
def test_the_pixels_of_survey_jpegs_never_change(galaxy, name: str, frame_px: int | None) -> None:
    digest = hashlib.sha256()
    for size_px in (50, 64, 96):
        digest.update(views(galaxy(name), CutoutParameters(size_px), (0, 45, 90, 17.5), frame_px=frame_px).tobytes())
        digest.update(stored_cutout(galaxy(name), CutoutParameters(size_px), frame_px=frame_px).tobytes())
    assert digest.hexdigest() == KNOWN[name, frame_px]
