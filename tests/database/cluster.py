"""A throw-away PostgreSQL cluster from Debian's packages: made, restarted, killed and removed by the tests.

initdb refuses root: as root everything runs as the user postgres, in a folder of its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg


def postgresql_programs() -> Path | None:
    """The folder of initdb and friends; None where PostgreSQL is not installed."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found else None


def as_server(command: list[str]) -> list[str]:
    """The command as the user that may run a server."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


class Cluster:
    """A running server that listens on a socket in its own folder only."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="galclass-pg-"))
        self.data = self.folder / "data"
        self.user = "postgres"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        os.chmod(self.folder, 0o755)
        self._run("initdb", "-D", str(self.data), "-U", self.user, "-A", "trust", "--no-sync", "-E", "UTF8")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = as_server([str(self.programs / program), *arguments])
        log = self.folder.with_suffix(".log")
        own = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}  # set by galclass
        with log.open("ab") as output:  # not a pipe: the server that pg_ctl leaves behind would hold it open
            done = subprocess.run(command, stdout=output, stderr=output, cwd="/", env=own)
        if done.returncode:
            raise RuntimeError(f"{program}: {log.read_text()[-2000:]}")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-k {self.folder} -p {self.port} -c listen_addresses='' -c fsync=off -c max_connections=40"
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server."""
        self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def kill(self) -> None:
        """End the server as a power cut would, and wait until it is gone."""
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
        for process in [pid, *map(int, children)]:
            os.kill(process, signal.SIGKILL)
        for _ in range(200):
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.05)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def url(self, database: str = "postgres", user: str | None = None) -> str:
        """The URL of a database for a user."""
        return f"postgresql://{user or self.user}@/{database}?host={self.folder}&port={self.port}"

    def execute(self, statement: str, database: str = "postgres", user: str | None = None) -> list[tuple[object, ...]]:
        """Run a statement and give its rows."""
        with psycopg.connect(self.url(database, user), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str) -> str:
        """Make an empty database and give its URL."""
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def remove(self) -> None:
        """Stop the server and delete everything."""
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.with_suffix(".log").unlink(missing_ok=True)
