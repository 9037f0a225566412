"""Cones as people type them, and what is said of those that cannot be read."""

from __future__ import annotations

import re

import pytest

from galclass.database.cones import Cone, read_cone

RA, DEC = 150.119167, 2.205833
AS_TYPED = [
    "10:00:28.6 +02:12:21 30 arcsec",
    "10 00 28.6 +02 12 21 30 arcsec",
    "10 00 28.6 02 12 21 30 arcsec",
    "10h00m28.6s +02d12m21s 0.5 arcmin",
    "10:00:28.6, +02:12:21, 30 arcsec",
    '10:00:28.6 +02:12:21 30"',
    "10:00:28.6 +02:12:21 0.5'",
    "150.119167 2.205833 30arcsec",
    "150.119167, 2.205833, 30 arcsec",
    "10h00m28.6s +02 12 21 30 arcsec",
    "150.119167,2.205833,0.0083333333",
    "150.119167 2.205833 0.0083333333",
    "  150.119167\t+2.205833   0.0083333333 deg ",
    "150.119167 +2.205833 8.3333333e-3",
    "150.119167d 2.205833d 0.5 arcmin",
]


@pytest.mark.parametrize("text", AS_TYPED)
def test_a_cone_is_read_as_it_is_typed(text: str) -> None:
    cone = read_cone(text)
    assert (cone.ra, cone.dec) == pytest.approx((RA, DEC), abs=2e-6)
    assert cone.radius_deg == pytest.approx(30 / 3600)


@pytest.mark.parametrize(
    ("text", "cone"),
    [
        ("0 -5 1", Cone(0, -5, 1)),
        ("360, 0, 180", Cone(0, 0, 180)),
        ("00:00:01 \u221200:30:00 1\u2032", Cone(15 / 3600, -0.5, 1 / 60)),
        ("10:00:28.6 -00:12:21 30 arcsec", Cone(RA, -(12 + 21 / 60) / 60, 30 / 3600)),
        ("12 30 +45 10 1 deg", Cone(187.5, 45 + 1 / 6, 1)),
    ],
)
def test_signs_and_edges(text: str, cone: Cone) -> None:
    found = read_cone(text)
    assert (found.ra, found.dec, found.radius_deg) == pytest.approx((cone.ra, cone.dec, cone.radius_deg), abs=2e-6)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "radius is missing"),
        ("north", "radius is missing"),
        ("10:00:28.6 +02:12:21", "radius is missing"),
        ("10 00 28.6 +02 12 21", "radius is missing"),
        ("10 00 28.6, +02 12 21", "radius is missing"),
        ("10 00 28.6s +02 12 21s", "radius is missing"),
        ("12 30 +45 10", "radius is missing"),
        ("150.1 2.2", "a declination and a radius are needed"),
        ("400 2 1", "right ascension 400 is outside"),
        ("-1 2 1", "right ascension -1 is outside"),
        ("10 91 1", "declination 91 is outside"),
        ("10 2 0", "radius 0 deg"),
        ("10 2 181", "radius 181 deg"),
        ("10 2 -1", "radius -1 deg"),
        ("10 2 5 parsec", "unit of the radius, 'parsec'"),
        ("10 2 1.2.3", "radius '1.2.3' is not a number"),
        ("abc +2 1", "right ascension 'abc' cannot be read"),
        ("10, xyz, 1", "declination 'xyz' cannot be read"),
        ("10:61:00 +2:00:00 1", "right ascension '10:61:00' cannot be read"),
        ("10 +2:70:00 1", "declination '+2:70:00' cannot be read"),
        ("nan 2 1", "right ascension 'nan' is not a number"),
        ("10, inf, 1", "declination inf is outside"),
        ("1 2 3 4", "where the right ascension ends"),
        ("1, 2, 3, 4", "where the right ascension ends"),
    ],
)
def test_the_part_that_is_wrong_is_named(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=re.escape(part)):
        read_cone(text)
