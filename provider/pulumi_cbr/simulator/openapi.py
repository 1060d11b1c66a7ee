"""The OpenAPI 3 description of the CBR API, which is in ``openapi.json``."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ["openapi_document"]


def openapi_document(base_url: str) -> dict[str, Any]:
    """Return the description with the URL of the server."""
    text = files(__package__).joinpath("openapi.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return {**document, "servers": [{"url": base_url}]}
