"""The scorer as a Ray Serve deployment, for clusters that serve with Ray already; `galclass serve` needs none of this.

`serve run galclass.cluster.serve:app` answers image bytes at `/` with the record of the HTTP service. It has no
versions, tokens or limits: those are the service's.
"""

from __future__ import annotations

import os
from typing import Any

from galclass.scoring import Scorer

MODEL_VARIABLE = "GALCLASS_MODEL"
"""Environment variable with the path of an .onnx file; without it the model in the package answers."""

_MOST_BYTES = 32 << 20


class ScorerReplica:
    """One process that answers; images that wait are scored together."""

    def __init__(self, model: str | None = None) -> None:
        self._scorer = Scorer(model)

    def score(self, images: list[bytes]) -> list[dict[str, Any]]:
        """Give the service's record of each image."""
        return [answer.as_json() for answer in self._scorer.score(images)]


def make_app(model: str | None = None) -> Any:
    """Build the deployment: `serve.run(make_app("model.onnx"))`.

    Raises
    ------
    ImportError
        If Ray was installed without Serve: `pip install "ray[serve]"`.
    """
    from ray import serve
    from starlette.requests import Request
    from starlette.responses import JSONResponse

    class Deployment(ScorerReplica):
        @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.005)
        async def answer(self, images: list[bytes]) -> list[dict[str, Any]]:
            return self.score(images)

        async def __call__(self, request: Request) -> JSONResponse:
            if int(request.headers.get("content-length") or 0) > _MOST_BYTES:
                error = {"code": "too_large", "message": "the body is too large", "field": "img"}
                return JSONResponse({"error": error}, status_code=413)
            record = await self.answer(await request.body())
            return JSONResponse(record, status_code=422 if "error" in record else 200)

    named = serve.deployment(name="galclass", ray_actor_options={"num_cpus": 1})(Deployment)
    return named.bind(model)


def __getattr__(name: str) -> Any:
    if name == "app":  # what `serve run` imports
        return make_app(os.environ.get(MODEL_VARIABLE))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
