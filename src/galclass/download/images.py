"""One image from a web service that renders it: retried, and checked before it is kept.

Takes a URL, returns JPEG or PNG bytes; anything else is a `Rejection` that says what came instead.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from galclass import __version__
from galclass.errors import Rejection

MOST_BYTES = 32 << 20
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # worth a retry


class ImageReader:
    """Request images from web services over persistent connections; retry with backoff and respect Retry-After.

    Parameters
    ----------
    retries : int
        Attempts after the first.
    read_timeout_s : float
        Longest silence of the server.
    parallel : int
        Connections kept to a host.
    backoff_s : float
        Waited before the second retry, twice that before the third, and so on.
    on_retry : callable
        Called with the reason before each retry, from several threads.
    """

    def __init__(
        self,
        retries: int,
        read_timeout_s: float,
        parallel: int,
        *,
        backoff_s: float = 0.5,
        on_retry: Callable[[str], object] = lambda reason: None,
    ) -> None:
        import urllib3

        class ReportedRetry(urllib3.Retry):
            """Retries that are reported."""

            def increment(  # type: ignore[override]  # the rest is handed on
                self, method: Any = None, url: Any = None, response: Any = None, error: Any = None, **more: Any
            ) -> urllib3.Retry:
                again = super().increment(method, url, response, error, **more)
                if response is None:
                    on_retry(type(error).__name__)
                elif not response.get_redirect_location():
                    on_retry(f"status {response.status}")
                return again

        self._pool = urllib3.PoolManager(
            maxsize=parallel,
            headers={"User-Agent": f"galclass/{__version__}"},
            timeout=urllib3.Timeout(connect=10.0, read=read_timeout_s),
            retries=ReportedRetry(
                total=retries,
                backoff_factor=backoff_s,
                backoff_max=30.0,
                backoff_jitter=0.2,
                status_forcelist=_PASSING,
                raise_on_status=False,
            ),
        )

    def read(self, url: str) -> bytes:
        """Return the body of an image.

        Raises
        ------
        Rejection
            no_answer (the server fails or is silent), refused (another status than 200), too_large.
        """
        import urllib3

        try:
            response = self._pool.request("GET", url, preload_content=False)
            try:
                data: bytes = response.read(MOST_BYTES + 1, decode_content=True)
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise Rejection("no_answer", f"no response: {type(reason).__name__}", where=url) from error
        if response.status in _PASSING:
            raise Rejection("no_answer", "the service fails", where=url, got=f"status {response.status}")
        if response.status != 200:
            raise Rejection("refused", "the service refuses", where=url, got=f"status {response.status}")
        if len(data) > MOST_BYTES:
            raise Rejection("too_large", "the response is too large", where=url, expected=f"<= {MOST_BYTES} bytes")
        return data


def check_image(data: bytes, size_px: int) -> None:
    """Check that bytes are an image of this size that shows something.

    Raises
    ------
    Rejection
        not_an_image, wrong_size, blank (one colour: outside the survey's footprint).
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if image.size != (size_px, size_px):
                got = f"{image.size[0]} x {image.size[1]} px"
                raise Rejection("wrong_size", "an image of the wrong size", expected=f"{size_px} px square", got=got)
            bands = [band.getextrema() for band in image.convert("RGB").split()]
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        start = data[:40].decode("latin-1").strip() or "nothing"
        raise Rejection("not_an_image", "the response is not a JPEG or PNG", got=repr(start)) from error
    if all(extrema[0] == extrema[1] for extrema in bands):
        raise Rejection("blank", "the image is a single colour, as outside the survey's footprint")
