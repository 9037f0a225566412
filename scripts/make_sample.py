"""Make the bundled sample from a folder of Galaxy Zoo 2 images with votes; the same input yields the same bytes.

    python scripts/make_sample.py GZ2_FOLDER [--output data/sample]

Takes `images/<asset_id>.jpg` and `labels.csv` (asset_id, dr7objid, sample, gz2_class and vote columns), writes the
layout of the public release: `images_gz2.zip`, `gz2_hart16.csv` (the columns there are), `gz2_filename_mapping.csv`,
and a `manifest.toml` with sizes and checksums.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import zipfile
from pathlib import Path

COUNTS = ("total_classifications", "total_votes")
NOT_IN_RELEASE = ("asset_id", "class8_id", "class8_name", "file")
EPOCH = (1980, 1, 1, 0, 0, 0)

HEADER = """\
# Made by scripts/make_sample.py; the facts of the bundled sample. README.md says where it comes from.
[sample]
title = "{images} galaxies of Galaxy Zoo 2 with votes, laid out as the public release"
licence = "labels CC-BY 4.0; images: SDSS, public, acknowledgement asked"
citation = "Willett et al. 2013, MNRAS 435, 2835; Hart et al. 2016, MNRAS 461, 3663; Zenodo 10.5281/zenodo.3565489"
homepage = "https://data.galaxyzoo.org"
catalog_format = "gz2_hart16"
frame_px = 424
stored_px = 424
"""


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return sorted(csv.DictReader(file), key=lambda row: int(row["asset_id"]))


def write_images(folder: Path, rows: list[dict[str, str]], path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for row in rows:
            member = zipfile.ZipInfo(f"images/{row['asset_id']}.jpg", EPOCH)
            member.external_attr = 0o644 << 16
            archive.writestr(member, (folder / row["file"]).read_bytes())


def catalog_row(row: dict[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in row.items() if key not in NOT_IN_RELEASE}
    kept.update({key: str(int(float(row[key]))) for key in COUNTS})
    return {"dr7objid": kept.pop("dr7objid"), **kept}


def write_csv(rows: list[dict[str, str]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def manifest_text(folder: Path, images: int) -> str:
    text = HEADER.format(images=images)
    names = {"images": "images_gz2.zip", "catalog": "gz2_hart16.csv", "mapping": "gz2_filename_mapping.csv"}
    for role, name in names.items():
        data = (folder / name).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        text += f'\n[sample.files.{role}]\nurl = "{name}"\nsha256 = "{digest}"\nbytes = {len(data)}\n'
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with images/ and labels.csv")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "data" / "sample")
    arguments = parser.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    rows = read_rows(arguments.folder)
    write_images(arguments.folder, rows, output / "images_gz2.zip")
    write_csv([catalog_row(row) for row in rows], output / "gz2_hart16.csv")
    mapping = [{"objid": row["dr7objid"], "sample": row["sample"], "asset_id": row["asset_id"]} for row in rows]
    write_csv(mapping, output / "gz2_filename_mapping.csv")
    (output / "manifest.toml").write_text(manifest_text(output, len(rows)), encoding="utf-8")
    print(f"{len(rows)} galaxies in {output}")


if __name__ == "__main__":
    main()
