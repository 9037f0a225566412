"""Security headers of every response, and the stricter set of the page and the docs."""

from __future__ import annotations

_PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DOCS_CSP = _PAGE_CSP.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")  # Swagger UI sets styles inline

_COMMON = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_API = (*_COMMON, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"))
_DOCS = (*_COMMON, (b"content-security-policy", _DOCS_CSP.encode()))
_PAGE = (
    *_COMMON,
    (b"cache-control", b"no-cache"),  # revalidates its ETag: a new version shows immediately
    (b"content-security-policy", _PAGE_CSP.encode()),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)


def security_headers(path: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers for a path: the API loads nothing, the docs and the page only their own files."""
    if path.startswith("/v1/"):
        return _API
    if path.startswith("/docs"):
        return _DOCS
    return _PAGE
