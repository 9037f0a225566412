"""The state of a server process, access control, and the thread on which a request is scored.

Takes checked inputs, returns predictions; the database is read through `galclass.database`.
"""
