"""Cutouts by sky position against a local server that draws as the services document it."""

from __future__ import annotations

import json
import threading
import unicodedata
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from interrupts import ENDS_WITHIN_S, GOES_ON, press_ctrl_c, start, wait_until

from galclass.catalog import read_catalog, read_table
from galclass.cli import cli
from galclass.config import Config
from galclass.download import CutoutRequest, download_cutouts, iter_images, open_source
from galclass.download.services import SERVICES, Cutout
from galclass.errors import CatalogError, DownloadError
from galclass.image_names import object_id_of
from galclass.prepare.stage import prepare


def catalog(folder: Path, rows: str, header: str = "object_id,ra,dec,petroR90_r") -> Path:
    path = folder / "mine.csv"
    path.write_text(f"{header}\n{rows}\n")
    return path


def request(server, path: Path, service: str = "sdss", **facts) -> CutoutRequest:
    facts = {"size_px": 64, "requests_per_s": 1000.0, **facts}
    return CutoutRequest(path, service, base_url=f"{server.url}/{service}", **facts)


GOOD = "587722981741363294,180.5,2.25,10\n587722981741363323,181.5,-2.25,20"


def test_a_catalog_without_positions_is_refused(sky_service, config, tmp_path) -> None:
    with pytest.raises(CatalogError, match="no column ra and dec"):
        download_cutouts(request(sky_service, catalog(tmp_path, "a,1", "object_id,z")), config, progress=False)


def test_positions_in_other_units_are_refused(sky_service, config, tmp_path) -> None:
    path = catalog(tmp_path, "a,twelve,+02:15:00,10")
    with pytest.raises(CatalogError, match=r"ra is text such as 'twelve'; expected degrees or sexagesimal \(row 1\)"):
        download_cutouts(request(sky_service, path), config, progress=False)


def test_an_unknown_service_and_an_impossible_size_are_refused(sky_service, config, tmp_path) -> None:
    path = catalog(tmp_path, GOOD)
    with pytest.raises(DownloadError, match="sdss, legacy, hips2fits"):
        download_cutouts(CutoutRequest(path, "hubble"), config, progress=False)
    with pytest.raises(DownloadError, match="64 to 2048 px"):
        download_cutouts(request(sky_service, path, size_px=5000), config, progress=False)


def test_what_cannot_be_had_is_rejected_with_its_reason(sky_service, config, tmp_path) -> None:
    rows = "a,10,-85,10\nb,11,85,10\nc,,2,10\nd,12,2,\ne,13,2,10\ne,13,2,10\nf,15,2,-1"
    summary = download_cutouts(request(sky_service, catalog(tmp_path, rows)), config, progress=False)
    assert (summary.images, summary.rejected) == (1, 6)
    rejects = read_table(summary.folder / "rejects.parquet").to_pylist()
    assert {(row["object_id"], row["code"]) for row in rejects} == {
        ("a", "not_an_image"),
        ("b", "blank"),
        ("c", "no_position"),
        ("d", "no_size"),
        ("e", "duplicate_id"),
        ("f", "no_size"),
    }


def test_a_service_that_always_fails_stops_the_run(server, behaviour, config, tmp_path) -> None:
    server.paths["/sdss"] = behaviour(statuses=[400, *[503] * 100])
    path = catalog(tmp_path, "\n".join(f"{n},{n},1,10" for n in range(60)))
    impatient = config.__class__(
        workspace=config.workspace, download=config.download.__class__(retries=0, read_timeout_s=2, parallel=1)
    )
    with pytest.raises(DownloadError, match=r"failed 20 times in a row.*503"):
        download_cutouts(request(server, path), impatient, progress=False)


def test_a_busy_service_is_waited_for(server, sky_service, config, tmp_path) -> None:
    drawn, refused = server.draw, []

    def busy_first(handler) -> None:
        if not refused:
            refused.append(handler.path)
            handler.send_response(429)
            handler.send_header("Retry-After", "0")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        else:
            drawn(handler)

    server.draw = busy_first
    told: list[str] = []
    summary = download_cutouts(request(server, catalog(tmp_path, GOOD)), config, progress=False, notify=told.append)
    assert (summary.images, summary.rejected, len(refused)) == (2, 0, 1)
    assert len(told) == 2
    assert "requesting 2 images from" in told[0]
    assert "did not respond (status 429): retrying" in told[1]
    download_cutouts(request(server, catalog(tmp_path, GOOD)), config, progress=False, notify=told.append)
    assert len(told) == 2


def test_a_second_run_asks_nothing_and_another_scale_asks_anew(sky_service, config, tmp_path) -> None:
    path = catalog(tmp_path, GOOD)
    assert download_cutouts(request(sky_service, path), config, progress=False).fetched == 2
    assert download_cutouts(request(sky_service, path), config, progress=False).fetched == 0
    assert len(sky_service.requests) == 2
    assert download_cutouts(request(sky_service, path, arcsec_per_px=0.5), config, progress=False).fetched == 2


def test_a_run_with_another_scale_that_stops_half_way_leaves_no_source_of_both(sky_service, config, tmp_path) -> None:
    path = catalog(tmp_path, GOOD)
    download_cutouts(request(sky_service, path), config, progress=False)
    with pytest.raises(KeyboardInterrupt):
        download_cutouts(request(sky_service, path, size_px=80), config, progress=False, notify=interrupt)
    with pytest.raises(DownloadError, match="has not been downloaded"):
        open_source(config, source="cutouts_sdss")
    download_cutouts(request(sky_service, path, size_px=80), config, progress=False)
    assert open_source(config, source="cutouts_sdss").frame_px == 80


def interrupt(text: str) -> None:
    raise KeyboardInterrupt


def test_an_image_of_a_former_position_goes_when_the_new_one_cannot_be_had(sky_service, config, tmp_path) -> None:
    folder = download_cutouts(request(sky_service, catalog(tmp_path, "a,10,5,10\nb,11,5,10")), config).folder
    summary = download_cutouts(request(sky_service, catalog(tmp_path, "a,10,-85,10\nb,11,5,10")), config)
    assert (summary.images, summary.rejected) == (1, 1)
    assert [path.name for path in (folder / "images").iterdir()] == ["b.jpg"]


def test_an_outage_costs_no_image_of_an_earlier_run(server, sky_service, config, tmp_path) -> None:
    former, drawn = catalog(tmp_path, "a,10,5,10\nb,11,5,10"), server.draw
    folder = download_cutouts(request(sky_service, former), config).folder
    once = replace(config, download=replace(config.download, retries=0))

    def failing(handler) -> None:
        if "dec=6" in handler.path:
            handler.send_error(503)
        else:
            drawn(handler)

    server.draw = failing
    summary = download_cutouts(request(sky_service, catalog(tmp_path, "a,10,6,10\nb,11,5,10")), once)
    assert (summary.images, summary.rejected) == (1, 1)
    assert pyarrow.parquet.read_table(folder / "catalog.parquet")["object_id"].to_pylist() == ["b"]
    assert download_cutouts(request(sky_service, catalog(tmp_path, "a,10,5,10\nb,11,5,10")), once).fetched == 0


@pytest.mark.parametrize(("size", "scale", "warned"), [("", None, 1), ("", 0.2, 0), (",10", None, 0)])
def test_frames_of_one_scale_are_warned_of(sky_service, config, tmp_path, size: str, scale, warned: int) -> None:
    path = tmp_path / "my.csv"
    path.write_text(f"object_id,ra,dec{',petroR90_r' if size else ''}\na,180,1{size}\n")
    told: list[str] = []
    wanted = request(sky_service, path, arcsec_per_px=scale)
    download_cutouts(wanted, config, progress=False, warn=told.append)
    assert len(told) == warned
    assert all("no petroR90_r column: every frame has the same scale of 0.396" in text for text in told)


def test_a_killed_run_goes_on(sky_service, config, tmp_path) -> None:
    path = catalog(tmp_path, GOOD)
    folder = download_cutouts(request(sky_service, path), config, progress=False).folder
    journal = folder / "cutouts.jsonl"
    first = journal.read_text().splitlines()[0]
    spoiled = "\0" * 40 + "\n"  # as a power cut may leave it
    journal.write_text(spoiled + first + '\n{"asset_id": "58772')  # killed while it wrote the second line
    summary = download_cutouts(request(sky_service, path), config, progress=False)
    assert (summary.images, summary.fetched) == (2, 1)
    assert [json.loads(line)["asset_id"] for line in journal.read_text().splitlines()[1:]] == [
        "587722981741363294",
        "587722981741363323",
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_gives_a_source_like_any_other(service, sky_service, config, tmp_path) -> None:
    summary = download_cutouts(request(sky_service, catalog(tmp_path, GOOD), service), config, progress=False)
    files = open_source(config, source=f"cutouts_{service}")
    assert summary.folder == files.images.parent
    assert (files.frame_px, files.stored_px) == (64, 64)
    table = read_catalog(files.catalog, files.catalog_format)
    assert table["object_id"].to_pylist() == ["587722981741363294", "587722981741363323"]
    assert sorted(name for name, _ in iter_images(files.images)) == [f"{a}.jpg" for a in table["asset_id"].to_pylist()]


def test_requests_follow_the_galaxy_zoo_2_scale(sky_service, config, tmp_path) -> None:
    path = catalog(tmp_path, "a,180.5,2.25,10")
    for service in SERVICES:
        download_cutouts(request(sky_service, path, service), config, progress=False)
    asked = [{k: v[0] for k, v in parse_qs(urlsplit(path).query).items()} for path, _ in sky_service.requests]
    sdss, legacy, hips = asked
    assert sdss == {"ra": "180.5", "dec": "2.25", "scale": "0.2", "width": "64", "height": "64"}
    assert legacy == {"ra": "180.5", "dec": "2.25", "layer": "ls-dr10", "pixscale": "0.2", "size": "64"}
    assert hips["hips"] == "CDS/P/SDSS9/color"
    assert float(hips["fov"]) == pytest.approx(64 * 0.2 / 3600, rel=1e-5)


def test_urls_are_those_of_the_public_services() -> None:
    cutout = Cutout(ra_deg=1e-7, dec_deg=-0.5, size_px=424, arcsec_per_px=0.396127)
    for service in SERVICES.values():
        url = urlsplit(service.url(cutout))
        assert url.scheme == "https"
        query = parse_qs(url.query)
        assert query["dec"] == ["-0.5"]
        assert query["ra"] == ["0.0000001"]


def test_an_object_id_with_odd_characters_is_a_safe_file_name(sky_service, config, tmp_path) -> None:
    path = catalog(tmp_path, "../NGC 1/a,1,2,10\nJ0842+24.1,2,2,10")
    folder = download_cutouts(request(sky_service, path), config, progress=False).folder
    names = sorted(path.name for path in (folder / "images").iterdir())
    assert names == ["%2E.%2FNGC 1%2Fa.jpg", "J0842+24.1.jpg"]


def test_every_object_id_comes_back_from_the_name_of_its_file(sky_service, config, tmp_path) -> None:
    ids = [
        "M 51/NGC 5194",
        "..",
        "J1.5",
        "J1.6",
        "NGC1.v2",
        "50%",
        "con",
        "NUL.1",
        "abc",
        "ABC",
        "a:b*c",
        "Me\u0301chain",
        "07",
    ]
    rows = "\n".join(f'"{one}",{number},2.5,10' for number, one in enumerate(ids))
    path = catalog(tmp_path, rows + "\n" + "x" * 300 + ",5,5,10\n" + "/" * 100 + ",6,6,10")
    summary = download_cutouts(request(sky_service, path), config, progress=False)
    assert (summary.images, summary.rejected) == (len(ids), 2)
    codes = read_table(summary.folder / "rejects.parquet")["code"].to_pylist()
    assert sorted(codes) == ["bad_id", "id_too_long"]  # no object id, and one whose file name would be too long
    names = [one.name for one in (summary.folder / "images").iterdir()]
    assert len({name.casefold() for name in names}) == len(ids)
    assert {object_id_of(name) for name in names} == {unicodedata.normalize("NFC", one) for one in ids}
    prepared = prepare_with(config, images=summary.folder / "images", catalog=path)
    assert sorted(prepared["object_id"].to_pylist()) == sorted(ids)  # joined with the user's own catalog
    assert sorted(prepared["asset_id"].to_pylist()) == sorted(unicodedata.normalize("NFC", one) for one in ids)
    assert download_cutouts(request(sky_service, path), config, progress=False).fetched == 0


def prepare_with(config: Config, **settings: Path) -> pyarrow.Table:
    """Prepare images with a catalog and return the index."""
    named = {name: str(value) for name, value in settings.items()}
    wanted = replace(config.prepare, **named, size_px=32, processes=1, max_rejects=0.5)
    folder = prepare(replace(config, prepare=wanted), progress=False).folder
    return pyarrow.parquet.read_table(folder / "index.parquet")


def test_the_source_of_cutouts_has_the_votes_and_labels_of_the_catalog(sky_service, config, tmp_path) -> None:
    vote = "t01_smooth_or_features_a01_smooth_debiased"
    header = f"who,ra,dec,kind,mine,asset_id,{vote}"
    path = catalog(tmp_path, "M 51/NGC 5194,180,2,round,7,x,0.9\na.jpg,181,3,,8,y,0.8\nb,182,3,Sb,9,z,", header)
    wanted = replace(config.prepare, id_column="who", label_column="kind", labels={"round": "Er"}, size_px=32)
    config = replace(config, prepare=wanted, download=replace(config.download, source="cutouts_sdss"))
    assert download_cutouts(request(sky_service, path), config, progress=False).images == 3
    folder = prepare(config, progress=False).folder  # its settings name columns of the user's own table
    rows = pyarrow.parquet.read_table(folder / "index.parquet").to_pylist()
    assert {row["object_id"]: (row["label"], row["mine"], row[vote]) for row in rows} == {
        "M 51/NGC 5194": ("Er", 7, pytest.approx(0.9)),
        "a.jpg": ("smooth", 8, pytest.approx(0.8)),
        "b": ("Sb", 9, None),
    }
    assert {row["object_id"] for row in rows} == {row["asset_id"] for row in rows}


def test_columns_of_any_name_can_be_told(sky_service, tmp_path) -> None:
    path = catalog(tmp_path, "A/1,12:00:00,02 30 00", "who,alpha,delta")
    arguments = ["download", "cutouts", "--size-px", "64", "--service-url", sky_service.url + "/sdss"]
    arguments += ["--workspace", str(tmp_path / "w"), "--catalog", str(path), "--requests-per-s", "1000"]
    told = ["--id-column", "WHO", "--ra-column", "alpha", "--dec-column", "delta"]
    result = CliRunner().invoke(cli, [*arguments, *told], standalone_mode=False)
    assert (result.exit_code, result.return_value) == (0, 0), result.output
    assert "ra=180&dec=2.5&" in sky_service.requests[-1][0]
    told = [f"--set=prepare.{name}={value}" for name, value in (("id_column", "who"), ("ra_column", "alpha"))]
    result = CliRunner().invoke(cli, [*arguments, *told, "--set", "prepare.dec_column=delta"], standalone_mode=False)
    assert "1 cutouts (0 fetched" in result.output


def test_requests_keep_the_pace(sky_service, config, tmp_path) -> None:
    rows = "\n".join(f"{n},{n},1,10" for n in range(6))
    paced = request(sky_service, catalog(tmp_path, rows), requests_per_s=20.0)
    assert download_cutouts(paced, config, progress=False).seconds >= 5 / 20


def test_command_line_says_how_many_and_ends_with_3_for_rejects(sky_service, tmp_path) -> None:
    arguments = ["download", "cutouts", "--size-px", "64", "--service-url", sky_service.url + "/sdss"]
    arguments += ["--workspace", str(tmp_path / "w"), "--catalog", str(catalog(tmp_path, GOOD))]
    result = CliRunner().invoke(cli, [*arguments, "--requests-per-s", "1000"], standalone_mode=False)
    assert (result.exit_code, result.return_value) == (0, 0), result.output
    assert "2 cutouts (2 fetched, 0 rejected)" in result.output
    catalog(tmp_path, "a,10,-85,10")
    result = CliRunner().invoke(cli, [*arguments, "--requests-per-s", "1000"], standalone_mode=False)
    assert result.return_value == 3


def test_service_scale_and_layer_of_the_command_line_reach_the_service(sky_service, tmp_path) -> None:
    arguments = ["download", "cutouts", "--service", "legacy", "--layer", "ls-dr9", "--arcsec-per-px", "0.262"]
    arguments += ["--size-px", "64", "--service-url", sky_service.url + "/legacy", "--requests-per-s", "1000"]
    arguments += ["--workspace", str(tmp_path / "w"), "--catalog", str(catalog(tmp_path, "a,10,2,10"))]
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert result.return_value == 0, result.output
    ((path, _),) = sky_service.requests
    asked = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
    assert asked == {"ra": "10", "dec": "2", "layer": "ls-dr9", "pixscale": "0.262", "size": "64"}


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"arcsec_per_px": 0.0}, "arcsec_per_px must be a positive number"),
        ({"arcsec_per_px": -0.4}, "arcsec_per_px must be a positive number"),
        ({"arcsec_per_px": float("nan")}, "arcsec_per_px must be a positive number"),
        ({"requests_per_s": 0.0}, "requests_per_s must be a positive number"),
        ({"requests_per_s": float("inf")}, "requests_per_s must be a positive number"),
        ({"layer": "ls-dr9"}, "sdss has no layers .expected a layer for legacy, hips2fits only, got ls-dr9"),
    ],
)
def test_what_no_service_can_do_is_refused_before_it_is_asked(sky_service, config, tmp_path, facts, told: str) -> None:
    with pytest.raises(DownloadError, match=told):
        download_cutouts(request(sky_service, catalog(tmp_path, GOOD), **facts), config, progress=False)
    assert sky_service.requests == []


def test_ctrl_c_ends_a_run_whose_service_does_not_answer_and_keeps_what_there_is(sky_service, tmp_path) -> None:
    draw, asked, go_on = sky_service.draw, threading.Event(), threading.Event()

    def silent_for_the_second(handler) -> None:
        if "ra=181.5" in handler.path:
            asked.set()
            go_on.wait(120)
        draw(handler)

    sky_service.draw = silent_for_the_second
    arguments = ["download", "cutouts", "--size-px", "64", "--service-url", sky_service.url + "/sdss"]
    arguments += ["--workspace", str(tmp_path / "w"), "--catalog", str(catalog(tmp_path, GOOD))]
    process = start(*arguments, "--requests-per-s", "1000", "--set", "download.parallel=1")
    assert asked.wait(120)
    folder = tmp_path / "w" / "downloads" / "cutouts_sdss"
    wait_until(lambda: (folder / "cutouts.jsonl").read_text().endswith("\n"))
    status, told = press_ctrl_c(process)
    go_on.set()
    assert status == 130
    assert told.splitlines()[-1] == GOES_ON
    assert "Traceback" not in told
    assert sorted(path.name for path in (folder / "images").iterdir()) == ["587722981741363294.jpg"]
    assert len((folder / "cutouts.jsonl").read_text().splitlines()) == 1
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert "2 cutouts (1 fetched, 0 rejected)" in result.output


def test_a_failing_service_ends_the_command_also_while_it_is_silent_for_another_image(sky_service, tmp_path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def fails_but_for_the_last(handler) -> None:
        if "ra=20&" in handler.path:
            asked.set()
            go_on.wait(120)
        asked.wait(120)
        handler.send_error(503)

    sky_service.draw = fails_but_for_the_last
    rows = "\n".join(f"n{number},{number}.0,2.25,10" for number in range(21))
    arguments = ["download", "cutouts", "--size-px", "64", "--service-url", sky_service.url + "/sdss"]
    arguments += ["--workspace", str(tmp_path / "w"), "--catalog", str(catalog(tmp_path, rows))]
    settings = ["download.parallel=21", "download.retries=0", "download.read_timeout_s=120"]
    process = start(*arguments, "--requests-per-s", "1000", *(word for one in settings for word in ("--set", one)))
    try:
        _, told = process.communicate(timeout=ENDS_WITHIN_S)
    finally:
        process.kill()
        go_on.set()
    assert process.returncode == 1
    assert "failed 20 times in a row" in told
    assert "Traceback" not in told


def test_rows_that_are_comments_are_told(sky_service, config, tmp_path) -> None:
    warned: list[str] = []
    path = catalog(tmp_path, GOOD + "\n#587722981741363324,182,2,10")
    download_cutouts(request(sky_service, path), config, progress=False, warn=warned.append)
    assert warned == ["catalog: 1 comment lines among the rows left out"]
