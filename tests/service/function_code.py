"""Functions that tests publish as services, and a call of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

HOSTILE = '''
"""Functions that do what they should not."""
import os, sys, time, threading, subprocess
from typing import Annotated, Any, Iterable
from pydantic import BaseModel, Field, field_validator

leaked = []

def same(value: int) -> int:
    return value

def lazy(last: float) -> Iterable[float]:
    return iter([1.0, last or float("inf")])

def loops(value: int) -> int:
    while True:
        pass

def spawns(path: str) -> int:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(path, "w").write(str(child.pid))
    time.sleep(600)
    return 0

def crashes(value: int) -> int:
    os.kill(os.getpid(), 11)
    return value

def leaves(value: int) -> int:
    sys.exit("hunter2")

def prints(value: int) -> int:
    print("hunter2" * 100_000)
    sys.stderr.write("hunter2" * 100_000)
    os.write(1, b"hunter2")
    sys.stdout.flush()
    return value

def leaks(mib: int) -> int:
    leaked.append(bytearray(mib << 20))
    return len(leaked)

def raises(value: int) -> int:
    raise RuntimeError("password=hunter2")

def lies(value: int) -> int:
    return "hunter2"

def huge(value: int) -> str:
    return "x" * (33 << 20)

def not_finite(value: float) -> float:
    return float("inf")

def table(missing: str) -> dict[str, Any]:
    return {"rows": [{"flux": 1.5}, {"flux": None if missing == "None" else float(missing)}], "text": "NaN null"}

class Checked(BaseModel):
    name: str
    count: Annotated[int, Field(ge=0, le=10)]

    @field_validator("name")
    @classmethod
    def known(cls, value):
        if value == "crash":
            raise RuntimeError("hunter2")
        raise ValueError("hunter2 is the only name")

def checked(item: Checked, tags: list[str] = []) -> dict[str, Any]:
    return {"item": item.name, "tags": tags}

def environment() -> list[str]:
    return sorted(os.environ)

def no_annotation(value) -> int:
    return value

def no_return(value: int):
    return value

def no_type(value: threading.Lock) -> int:
    return 0

async def waits(value: int) -> int:
    return value
'''

Publish = Callable[..., Any]


def write_code(folder: Path) -> Path:
    """Write the module `hostile` and the package `tidy` into a folder; returns it."""
    (folder / "tidy").mkdir(parents=True)
    (folder / "hostile.py").write_text(HOSTILE)
    (folder / "tidy" / "__init__.py").write_text(
        "from tidy.more import FACTOR\ndef times(value: int) -> int:\n    return value * FACTOR\n"
    )
    (folder / "tidy" / "more.py").write_text("FACTOR = 2\n")
    return folder


def call(client: TestClient, name: str, inputs: Any, version: str = "latest") -> Any:
    return client.post(f"/v1/services/{name}/{version}/call", json=inputs)
