"""The members API as an OpenAPI 3 description (``openapi.json`` beside this file), served at ``/openapi.json``."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ["openapi_document"]


def openapi_document(base_url: str) -> dict[str, Any]:
    """Give the description, with the server that it is asked from."""
    text = files(__package__).joinpath("openapi.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return {**document, "servers": [{"url": base_url}]}
