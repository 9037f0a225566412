"""A LitServe server as its documentation shows: setup, decode_request, predict, encode_response; base64 in JSON."""

from __future__ import annotations

import base64
import sys

import litserve
from pillow_model import load

KIND, MODEL, PORT, WORKERS = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


class GalaxyApi(litserve.LitAPI):
    """Galaxy images to classes."""

    def setup(self, device: str) -> None:
        """Load the model once."""
        self.model = load(KIND, MODEL)

    def decode_request(self, request: dict[str, str]) -> bytes:
        """Take the image out of the JSON body."""
        return base64.b64decode(request["image"])

    def predict(self, x: bytes) -> dict[str, object]:
        """Classify one image."""
        return self.model.predict(x)

    def encode_response(self, output: dict[str, object]) -> dict[str, object]:
        """Return the response unchanged."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(GalaxyApi(), accelerator="cpu", workers_per_device=WORKERS)
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False, log_level="error")
