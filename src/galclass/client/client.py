"""A Python client of the web service: publish and manage services, classify images, run batches.

Takes a server's address and a token, returns the records of the API as plain dicts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any

import httpx2

from galclass.client.uploads import Image, archive_of, body_of, in_portions, with_ids
from galclass.errors import ServiceError
from galclass.retries import asked_wait_s

_RETRIES = 3
"""Times a request is sent again that was refused with 503 or 429."""

_REQUEST_BYTES = 16 * 1024 * 1024
"""Images sent in one request; half of a server's default limit."""

_REQUEST_IMAGES = 64
_REQUEST_MAPS = 8
_BATCH_IMAGES = 10_000
"""Most images of one request: one with an immediate response, one with maps, and one that fills a batch."""


class ClientError(ServiceError):
    """The server refused a request; `code`, `status` and `field` are its own."""

    def __init__(self, status: int, code: str, message: str, field: str | None) -> None:
        self.status = status
        self.code = code
        self.field = field
        super().__init__(message)


class Client:
    """A connection to a server.

    Parameters
    ----------
    url : str
        Address of the server, e.g. "http://127.0.0.1:8000".
    token : str, optional
        Bearer token; needed to publish, and to read where reading is not open.
    timeout_s : float
        Longest wait for a response.

    Examples
    --------
    >>> client = Client("http://127.0.0.1:8000")                       # doctest: +SKIP
    >>> service = client.get_service("galaxy-class")                   # doctest: +SKIP
    >>> service.predict([Path("587722981742084144.jpg")])              # doctest: +SKIP
    """

    def __init__(self, url: str, token: str | None = None, *, timeout_s: float = 60.0) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def list_services(self, name: str | None = None) -> list[Service]:
        """Return every version of every service, or of one."""
        records = self.request("GET", "/v1/services", params={"name": name} if name else None)["services"]
        return [Service(self, record) for record in records]

    def get_service(self, name: str, version: str = "latest") -> Service:
        """Return a version of a service, or the one an alias stands for now.

        Raises
        ------
        ClientError
            `unknown_service`.
        """
        return Service(self, self.request("GET", f"/v1/services/{name}/{version}"))

    def publish_service(self, name: str, *, model: str, version: str, description: str = "") -> Service:
        """Publish a registered model (NAME, NAME@VERSION or NAME@ALIAS) as a new version.

        Raises
        ------
        ClientError
            `conflict` where the version is there with another model, `unauthorized`, `forbidden`, `unknown_model`.
        """
        body = {"name": name, "model": model, "version": version, "description": description}
        return Service(self, self.request("POST", "/v1/services", json=body))

    def update_service(self, name: str, *, model: str, version: str, description: str = "") -> Service:
        """Publish another model as a further version of a service that exists; the versions before it stay.

        Raises
        ------
        ClientError
            `unknown_service`, and what `publish_service` raises.
        """
        present = self.get_service(name)
        text = description or str(present.record["description"])
        return self.publish_service(name, model=model, version=version, description=text)

    def move_alias(self, name: str, alias: str, version: str) -> Service:
        """Let an alias stand for another version."""
        return Service(self, self.request("PUT", f"/v1/services/{name}/aliases/{alias}", json={"version": version}))

    def rollback_service(self, name: str, alias: str = "latest") -> Service:
        """Let an alias stand for the version it stood for before."""
        return Service(self, self.request("POST", f"/v1/services/{name}/rollback", params={"alias": alias}))

    def delete_service(self, name: str, version: str) -> None:
        """Delete a version that no alias stands for, or the last one of a service."""
        self.request("DELETE", f"/v1/services/{name}/{version}")

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and return the JSON response; one refused as overloaded is retried after a while.

        Raises
        ------
        ClientError
            With the server's code and message.
        ServiceError
            If the server cannot be reached.
        """
        return self.send(method, path, **options).json()

    def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request and return the response, or raise as `request` does."""
        for attempt in range(_RETRIES + 1):
            try:
                response = self._http.request(method, path, **options)
            except httpx2.TransportError as error:
                raise ServiceError(
                    "the server cannot be reached", where=str(self._http.base_url), got=str(error) or None
                ) from error
            if response.status_code not in (429, 503) or attempt == _RETRIES:
                break
            time.sleep(asked_wait_s(response.headers.get("Retry-After")))
        if response.is_error:
            raise _refusal(response)
        return response


class Service:
    """A published version of a service.

    Attributes
    ----------
    record : dict
        What the server says about it: name, version, description, model, aliases, created_at, created_by.
    """

    def __init__(self, client: Client, record: dict[str, Any]) -> None:
        self._client = client
        self.record = record
        self._path = f"/v1/services/{record['name']}/{record['version']}"

    def __repr__(self) -> str:
        return f"Service({self.record['name']!r}, {self.record['version']!r})"

    def predict(
        self,
        images: Sequence[Image],
        *,
        object_ids: Sequence[str] | None = None,
        frame_px: int | None = None,
        saliency: bool = False,
    ) -> list[dict[str, Any]]:
        """Classify images; a faulty one has `error` in its record.

        Parameters
        ----------
        images : sequence of bytes or paths
        object_ids : sequence of str, optional
            Ids of the records; file names without suffix, or positions, where left out.
        frame_px : int, optional
            Side of the survey's frame in px, where the files hold only its centre.
        saliency : bool
            Whether each record gets a `saliency`: a PNG in base64 that shows where the model looked.
        """
        records: list[dict[str, Any]] = []
        params: dict[str, Any] = {"saliency": "true"} if saliency else {}
        if frame_px is not None:
            params["frame_px"] = frame_px
        most = _REQUEST_MAPS if saliency else _REQUEST_IMAGES
        for part in in_portions(with_ids(images, object_ids), _REQUEST_BYTES, most):
            response = self._client.request("POST", f"{self._path}/predict", params=params, **body_of(part))
            records += response["predictions"]
        return records

    def capabilities(self) -> dict[str, Any]:
        """Return inputs, outputs, classes, limits and the model's signature."""
        return dict(self._client.request("GET", f"{self._path}/capabilities"))

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document of this service."""
        return dict(self._client.request("GET", f"{self._path}/openapi.json"))

    def batch(self, images: Iterable[Image], *, object_ids: Sequence[str] | None = None) -> Batch:
        """Make a batch of images; `start` sends them and begins.

        Parameters
        ----------
        images : iterable of bytes or paths
            Read while they are sent.
        object_ids : sequence of str, optional
            As in `predict`.
        """
        return Batch(self._client, self._path, images, object_ids)


class Batch:
    """A batch job of a service."""

    def __init__(
        self, client: Client, service_path: str, images: Iterable[Image], object_ids: Sequence[str] | None
    ) -> None:
        self._client = client
        self._service_path = service_path
        self._images = images
        self._object_ids = object_ids
        self.id: str | None = None

    def start(self) -> Batch:
        """Send the images, some megabytes a request, and start the job."""
        for part in in_portions(with_ids(self._images, self._object_ids), _REQUEST_BYTES, _BATCH_IMAGES):
            path = f"/v1/jobs/{self.id}/images" if self.id else f"{self._service_path}/batches"
            options: dict[str, Any] = {} if self.id else {"params": {"start": "false"}}
            self.id = self._client.request("POST", path, **archive_of(part), **options)["id"]
        self._client.request("POST", f"/v1/jobs/{self._known_id()}/start")
        return self

    def status(self) -> dict[str, Any]:
        """Return the job's record: state, total, done."""
        return dict(self._client.request("GET", f"/v1/jobs/{self._known_id()}"))

    def results(self, *, wait: bool = True, poll_s: float = 0.5) -> Iterator[dict[str, Any]]:
        """Yield the records in order, as they arrive.

        Parameters
        ----------
        wait : bool
            Whether to go on until the job ends; False gives what is there now.
        poll_s : float
            Seconds between two looks.

        Raises
        ------
        ServiceError
            After the records there are, if the job has failed or was cancelled before its end.
        """
        after: int | None = -1
        while after is not None:
            page = self._client.request("GET", f"/v1/jobs/{self._known_id()}/results", params={"after": after})
            yield from page["predictions"]
            if not page["predictions"] and page["next"] is not None:
                if not wait:
                    return
                time.sleep(poll_s)
            after = page["next"]
        if page["state"] in ("failed", "cancelled") and page["done"] < page["total"]:
            raise ServiceError(
                f"the batch is {page['state']}",
                where=f"job {self.id}",
                expected=f"{page['total']} records",
                got=page["done"],
                advice=self.status()["error"],
            )

    def cancel(self) -> dict[str, Any]:
        """Stop the job; the results it has stay readable until it expires."""
        return dict(self._client.request("DELETE", f"/v1/jobs/{self._known_id()}"))

    def _known_id(self) -> str:
        if self.id is None:
            raise ServiceError("the batch has not been started", advice="call start() first")
        return self.id


def _refusal(response: httpx2.Response) -> ClientError:
    try:
        error = response.json()["error"]
        return ClientError(response.status_code, error["code"], error["message"], error["field"])
    except (ValueError, KeyError, TypeError):
        return ClientError(
            response.status_code, "error", f"the server responded with status {response.status_code}", None
        )
