"""The routes, their schemas and the OpenAPI document: one module a subject.

Takes requests, calls the engine, returns responses.
"""
