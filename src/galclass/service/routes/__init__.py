"""The routes, their schemas and the OpenAPI document: one module per subject.

Takes requests, calls the engine, returns responses.
"""
