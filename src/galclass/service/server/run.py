"""Run the app under uvicorn: one or more processes, prompt and graceful shutdown.

Takes a configuration, serves until stopped.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import secrets
import signal
import sys
import tempfile
from typing import Any

import uvicorn
from fastapi import FastAPI

from galclass.config import Config, config_from_dict, config_to_dict
from galclass.database import open_database
from galclass.errors import ServiceError
from galclass.scoring.session import open_session
from galclass.scoring.shipped import shipped_model
from galclass.service.http.limits import SHARED_SECRET
from galclass.service.http.logs import configure_logs
from galclass.service.http.metrics import MULTIPROCESS_FOLDER

log = logging.getLogger("galclass.service")

CONFIG_VARIABLE = "GALCLASS_SERVE_CONFIG"
"""Environment variable that passes the resolved configuration, as JSON, to the server processes."""

GRACE_S = 12
"""Seconds that running requests get to finish on shutdown; with what the threads get after them it stays below 20."""


_SWITCH_S = 0.001
"""Time after which a Python thread lets the event loop run; Python's default is 5 ms."""

_BACKLOG = 2048
_OTHER_FILES = 256
"""Open files of a process besides its connections."""
_KEEP_ALIVE_S = 15
_HUNG_S = 30
"""Seconds without a heartbeat after which a worker is replaced; starting on a busy machine takes more than 5."""


def serve(config: Config) -> None:
    """Serve until interrupted; returns after a graceful shutdown.

    Raises
    ------
    DatabaseError
        If the database cannot be opened; raised once here, not repeatedly by every process.
    ModelError
        If `serve.provider` or its device is missing.
    """
    settings = config.serve
    if settings.provider != "cpu":
        open_session(shipped_model(), where="serve.provider", provider=settings.provider)
    open_database(config.database_url).close()
    _allow_open_files(2 * settings.max_connections + _OTHER_FILES)
    os.environ[CONFIG_VARIABLE] = json.dumps(config_to_dict(config))
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again after its shutdown
    if settings.workers == 1:
        uvicorn.run(APP, **server_options(config))
        return
    with tempfile.TemporaryDirectory(prefix="galclass-") as folder:
        os.environ[MULTIPROCESS_FOLDER] = folder
        os.environ[SHARED_SECRET] = secrets.token_hex()
        uvicorn.run(APP, workers=settings.workers, **server_options(config))


def _allow_open_files(count: int) -> None:
    """Raise the soft limit of open files, which is 1,024 on many systems, as far as this process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


APP = "galclass.service.server.run:app_from_environment"


def server_options(config: Config) -> dict[str, Any]:
    """Return uvicorn's options for a configuration."""
    return {
        "factory": True,
        "host": config.serve.host,
        "port": config.serve.port,
        "http": "galclass.service.server.protocol:GuardedProtocol",
        "loop": "uvloop",
        "ws": "none",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": bool(config.serve.trusted_proxies),
        "forwarded_allow_ips": ",".join(config.serve.trusted_proxies) or None,
        "timeout_graceful_shutdown": GRACE_S,
        "timeout_keep_alive": _KEEP_ALIVE_S,
        "timeout_worker_healthcheck": _HUNG_S,
        "backlog": _BACKLOG,
    }


def app_from_environment() -> FastAPI:
    """Make the app of one server process from the configuration in the environment."""
    from galclass.service.server.app import create_app  # not in the supervising process

    text = os.environ.get(CONFIG_VARIABLE)
    if text is None:
        raise ServiceError("no configuration in the environment", where=CONFIG_VARIABLE, advice="use `galclass serve`")
    configure_logs()
    sys.setswitchinterval(_SWITCH_S)
    return create_app(config_from_dict(json.loads(text), where=CONFIG_VARIABLE))


def addresses(config: Config) -> tuple[str, str]:
    """Return the addresses of the page and of the API docs."""
    host = config.serve.host
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{config.serve.port}/", f"http://{shown}:{config.serve.port}/docs"
