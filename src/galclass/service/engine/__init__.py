"""What answers: the state of a server process, who may ask, and on which thread a request is scored.

Takes checked inputs, returns predictions; the database is read through `galclass.database`.
"""
