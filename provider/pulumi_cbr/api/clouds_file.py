"""Where a key stands in clouds.yaml, and what is wrong with a file that openstacksdk cannot use."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_cbr import messages
from pulumi_cbr.api.errors import SettingsError

if TYPE_CHECKING:
    from yaml import Node


@dataclass(frozen=True)
class Document:
    """A clouds.yaml with the places of its keys."""

    path: str
    root: Node | None

    def origin(self, cloud: str, key: str | None = None) -> str:
        """Name an entry or one of its keys, with the file and the line if they are in it."""
        entry = _value(_value(self.root, "clouds"), cloud)
        holders = [node for node in (_value(entry, "auth"), entry) if node is not None]
        line = next((found for node in holders if key and (found := _line(node, key))), None)
        what = f"`{key}` of the entry `{cloud}`" if key else f"the entry `{cloud}`"
        line = line or _line(_value(self.root, "clouds"), cloud)
        return f"{what} ({self.path}, line {line})"


def check_document(cloud: str, files: Iterable[str]) -> Document:
    """Return the first file that exists. Raises `SettingsError` if there is none, or the entry is not in it."""
    path = first_file(files)
    if path is None:
        raise SettingsError(messages.no_clouds_file(cloud))
    root = compose_file(path)
    names = _keys(root)
    if "clouds" not in names:
        raise SettingsError(messages.no_clouds_key(path, names))
    entries = _keys(_value(root, "clouds"))
    if cloud not in entries:
        raise SettingsError(messages.no_such_entry(cloud, path, entries))
    if not _keys(_value(_value(root, "clouds"), cloud)):
        raise SettingsError(messages.empty_entry(Document(path, root).origin(cloud)))
    return Document(path, root)


def first_file(files: Iterable[str]) -> str | None:
    """Return the first file that exists: openstacksdk reads no other."""
    return next((path for path in files if os.path.exists(path)), None)


def compose_file(path: str) -> Node | None:
    """Return the nodes of a YAML file, with their lines. Raises `SettingsError`."""
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            return yaml.compose(file, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        # Without its words, which may be a part of a credential.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(messages.no_yaml(path, line)) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(messages.entry_unreadable(path, getattr(error, "strerror", None) or "no text")) from None


def _pairs(node: Node | None) -> list[tuple[Node, Node]]:
    import yaml

    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _keys(node: Node | None) -> list[str]:
    return [str(key.value) for key, _ in _pairs(node)]


def _value(node: Node | None, name: str) -> Node | None:
    return next((value for key, value in _pairs(node) if str(key.value) == name), None)


def _line(node: Node | None, name: str) -> int | None:
    spellings = (name, name.replace("_", "-"), name.replace("project", "tenant"))
    return next((key.start_mark.line + 1 for key, _ in _pairs(node) if str(key.value) in spellings), None)
