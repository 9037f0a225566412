"""Real galaxies, and image files made on the spot."""

from picture_fixtures import encode, galaxy, sky, unlike

__all__ = ["encode", "galaxy", "sky", "unlike"]
