"""Upload bodies as several client libraries write them."""

from __future__ import annotations

import email.mime.application
import email.mime.multipart
import email.policy
from collections.abc import Callable, Sequence

Files = Sequence[tuple[str, bytes]]
Body = tuple[bytes, str]
"""A body and its Content-Type."""

BOUNDARY = "6f8d0c51e7"


def by_urllib3(files: Files) -> Body:
    from urllib3.filepost import encode_multipart_formdata

    return encode_multipart_formdata([("image", (name, data, "image/jpeg")) for name, data in files], BOUNDARY)


def by_requests(files: Files) -> Body:
    import requests

    parts = [("image", (name, data)) for name, data in files]
    request = requests.Request("POST", "http://localhost/", files=parts).prepare()
    return bytes(request.body), request.headers["Content-Type"]


def by_httpx(files: Files) -> Body:
    import httpx2

    parts = [("image", (name, data, "image/jpeg")) for name, data in files]
    request = httpx2.Request("POST", "http://localhost/", files=parts)
    return request.read(), request.headers["Content-Type"]


def by_mail(files: Files) -> Body:
    """Base64 parts with `filename*`, a preamble, and headers that a mail client adds."""
    message = email.mime.multipart.MIMEMultipart("form-data", BOUNDARY)
    message.preamble = "This is a multi-part message."
    message.epilogue = "The end."
    for name, data in files:
        part = email.mime.application.MIMEApplication(data, "octet-stream")
        part.add_header("Content-Disposition", "form-data", name="image", filename=("utf-8", "", name))
        message.attach(part)
    whole = message.as_bytes(policy=email.policy.HTTP)
    return whole.partition(b"\r\n\r\n")[2], f'multipart/form-data; boundary="{BOUNDARY}"'


def by_hand(files: Files) -> Body:
    """As a browser writes them: names in UTF-8, double quotes as %22, and nothing else changed."""
    parts = []
    for name, data in files:
        quoted = name.replace('"', "%22").encode()
        head = b'Content-Disposition: form-data; name="image"; filename="' + quoted + b'"\r\nContent-Type: image/jpeg'
        parts.append(b"--" + BOUNDARY.encode() + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n")
    return b"".join(parts) + b"--" + BOUNDARY.encode() + b"--\r\n", f"multipart/form-data; boundary={BOUNDARY}"


CLIENTS: dict[str, Callable[[Files], Body]] = {
    "urllib3": by_urllib3,
    "requests": by_requests,
    "httpx": by_httpx,
    "mail": by_mail,
    "browser": by_hand,
}
