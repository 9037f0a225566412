"""The pydantic settings of every section of the configuration."""

from __future__ import annotations

STRICT = {"extra": "forbid", "strict": False}
"""An unknown key is a fault; text that is a number is taken as one."""
