"""Published, versioned web services over HTTP. Imports no torch and has no SQL.

Takes registered models and HTTP requests, returns records of predictions. `http` (bytes) is the lowest floor,
then `functions` (services over code), `engine` (state and scoring), `routes`, and `server` (the process).
"""

from galclass.moved import names_elsewhere

_HOMES = {
    "create_app": "galclass.service.server.app",
    "publish_stage": "galclass.database.publish",
    "serve": "galclass.service.server.run",
}

__getattr__ = names_elsewhere(__name__, _HOMES)
