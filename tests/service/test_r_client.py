"""The R client against a real server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from service.live import live_server
from tiny_model import tiny_model

from galclass.config import load_config
from galclass.database import Tokens, open_database
from galclass.morphology import CLASSES
from galclass.scoring import Scorer

CLIENT = Path(__file__).resolve().parents[2] / "clients" / "R" / "galclass.R"


def has_r() -> bool:
    """Say whether R and the two packages are there."""
    if shutil.which("Rscript") is None:
        return False
    done = subprocess.run(["Rscript", "-e", "library(httr); library(jsonlite)"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(scope="module")
def run_r(tmp_path_factory: pytest.TempPathFactory, workspace: Path, galaxies: dict[str, bytes]) -> Iterator[object]:
    """Run lines of R after the client was loaded and `admin` connected; returns what they print as JSON."""
    if not has_r():
        pytest.skip("R with httr and jsonlite is not installed: make test-deps")
    folder = tmp_path_factory.mktemp("r")
    shutil.copytree(workspace, folder / "workspace")
    for name, data in galaxies.items():
        (folder / f"{name}.jpg").write_bytes(data)
    (folder / "bad.jpg").write_bytes(b"no image")
    with open_database(load_config(None, {"workspace": str(folder / "workspace")}).database_url) as database:
        token = Tokens(database).create("admin", "r-test")
    with live_server(folder / "workspace") as server:

        def run(lines: str) -> object:
            head = f'source("{CLIENT}"); admin <- galclass_connect("{server.url}/", token = "{token}")\n'
            head += (
                f'anyone <- galclass_connect("{server.url}"); json <- function(x) cat(jsonlite::toJSON(x, digits = 10, '
            )
            head += 'auto_unbox = TRUE, null = "null", na = "null"))\n'
            done = subprocess.run(
                ["Rscript", "--vanilla", "-e", head + lines], cwd=folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        yield run


def test_predictions_are_a_data_frame_with_the_scorers_values(run_r, galaxies: dict[str, bytes]) -> None:
    rows = run_r(
        'service <- get_service(anyone, "galaxy-class")\n'
        'json(predict_images(service, c(sort(dir(".", pattern = "[0-9].jpg$")), "bad.jpg"), at_once = 4))'
    )
    names = sorted(galaxies, key=lambda name: f"{name}.jpg")
    expected = Scorer(tiny_model(0)).score([galaxies[name] for name in names], object_ids=names)
    assert [row["object_id"] for row in rows] == [*names, "bad"]
    assert rows[-1]["error"] == "not_an_image"
    assert rows[-1]["predicted_class"] is None
    for row, answer in zip(rows, expected, strict=False):
        assert (row["predicted_class"], row["predicted_group"]) == (answer.predicted_class, answer.predicted_group)
        assert row["prediction_set"] == "|".join(answer.prediction_set)
        assert [row[f"predicted_{leaf}"] for leaf in CLASSES] == pytest.approx(list(answer.probabilities), abs=1e-5)


def test_ids_of_eighteen_digits_stay_text_and_numbers_are_refused(run_r, galaxies: dict[str, bytes]) -> None:
    name = next(iter(galaxies))
    found = run_r(
        'service <- get_service(anyone, "galaxy-class")\n'
        f'one <- readBin("{name}.jpg", "raw", 1e6)\n'
        'row <- predict_images(service, list(one), object_ids = "587722981742084144")\n'
        "refused <- tryCatch(predict_images(service, list(one), object_ids = 587722981742084144), "
        "error = conditionMessage)\n"
        "json(list(id = row$object_id, kind = class(row$object_id), refused = refused))"
    )
    assert (found["id"], found["kind"]) == ("587722981742084144", "character")
    assert "18 digits" in found["refused"]


def test_a_batch_gives_what_predict_gives(run_r) -> None:
    same = run_r(
        'service <- get_service(anyone, "galaxy-class")\n'
        'files <- sort(dir(".", pattern = "[0-9].jpg$"))\n'
        "one <- predict_images(service, files); many <- batch_images(service, files, at_once = 3, poll_s = 0.05)\n"
        "json(list(rows = nrow(many), same = isTRUE(all.equal(one, many, tolerance = 1e-5))))"
    )
    assert same == {"rows": 10, "same": True}


def test_versions_are_published_moved_and_deleted(run_r) -> None:
    found = run_r(
        'second <- publish_service(admin, "from-r", "galaxy@1", "1.0")\n'
        'third <- publish_service(admin, "from-r", "galaxy@2", "1.1")\n'
        'back <- rollback_service(admin, "from-r")$record$version\n'
        'stable <- move_alias(admin, "from-r", "stable", "1.1")$record$version\n'
        'list <- list_services(anyone, "from-r")\n'
        "title <- swagger(third)$info$title; classes <- length(capabilities(third)$classes)\n"
        'code <- tryCatch(delete_service(admin, "from-r", "1.1"), error = function(e) c(e$code, e$status))\n'
        "json(list(back = back, stable = stable, versions = list$version, models = list$model, title = title, "
        "classes = classes, code = code))"
    )
    assert found == {
        "back": "1.0",
        "stable": "1.1",
        "versions": ["1.0", "1.1"],
        "models": ["galaxy@1", "galaxy@2"],
        "title": "from-r",
        "classes": 13,
        "code": ["conflict", "409"],
    }


def test_a_refusal_is_a_condition_with_the_servers_code(run_r) -> None:
    found = run_r(
        'one <- tryCatch(get_service(anyone, "nothing"), galclass_error = function(e) list(e$code, e$status))\n'
        'two <- tryCatch(publish_service(anyone, "x", "galaxy", "1.0"), '
        "galclass_error = function(e) list(e$code, e$status))\n"
        'service <- get_service(anyone, "galaxy-class")\n'
        "three <- tryCatch(predict_images(service, character()), error = conditionMessage)\n"
        "json(list(one, two, three))"
    )
    assert found == [["unknown_service", 404], ["unauthorized", 401], "no images were given"]


def test_a_pause_is_a_minute_at_most_and_a_second_for_a_date() -> None:
    if not has_r():
        pytest.skip("R with httr and jsonlite is not installed: make test-deps")
    lines = 'cat(.pause(NULL), .pause("3"), .pause("9999"), .pause("-1"), .pause("Wed, 21 Oct 2026 07:28:00 GMT"))'
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", f'source("{CLIENT}"); {lines}'], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 3 60 0 1"
