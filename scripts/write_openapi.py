"""Write docs/openapi.json: the committed copy of the API that a test compares with the code."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from galclass.config import load_config
from galclass.service.server.app import create_app

TARGET = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        document = create_app(load_config(None, {"workspace": folder})).openapi()
    TARGET.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{TARGET}: {len(document['paths'])} paths")


if __name__ == "__main__":
    main()
