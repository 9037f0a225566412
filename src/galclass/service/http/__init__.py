"""One request and its response as bytes: limits, bodies, images in them, error shapes, headers.

Takes what a client sends, returns checked inputs and responses; loads no model and asks no database.
"""
