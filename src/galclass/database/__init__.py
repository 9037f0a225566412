"""Placeholder while the stage is being written."""
