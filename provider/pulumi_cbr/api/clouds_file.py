"""Find the lines of keys in clouds.yaml, and refuse mistakes that openstacksdk ignores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from pulumi_cbr import messages
from pulumi_cbr.api.errors import SettingsError

if TYPE_CHECKING:
    from yaml import Node, SafeLoader


@dataclass(frozen=True)
class Document:
    """A clouds.yaml and the secure.yaml that comes before it, with the lines of their keys."""

    path: str
    root: Node | None
    secure_path: str = ""
    secure_root: Node | None = None

    def origin(self, cloud: str, key: str | None = None) -> str:
        """Name an entry or one of its keys, with the file and the line."""
        if key:
            for path, root in ((self.secure_path, self.secure_root), (self.path, self.root)):
                line = next((line for node in _find_holders(root, cloud) if (line := _line(node, key))), None)
                if line:
                    return f"`{key}` of the entry `{cloud}` ({path}, line {line})"
        what = f"`{key}` of the entry `{cloud}`" if key else f"the entry `{cloud}`"
        return f"{what} ({self.path}, line {_line(_value(self.root, 'clouds'), cloud)})"

    def make_change_check(self, cloud: str, region: str | None) -> Callable[[str], bool]:
        """Return a function that tells whether YAML changes the value of a key.

        YAML does so if it does not read the value as text: `0123` as 83. The files are read once for all keys.
        """
        import yaml

        class TextLoader(yaml.SafeLoader):
            """Reads every value as text, and follows `<<`."""

            def __init__(self, stream: IO[str]) -> None:
                super().__init__(stream)
                self.yaml_implicit_resolvers = {"<": yaml.SafeLoader.yaml_implicit_resolvers["<"]}

        readings = [self._read_entries(loader, cloud) for loader in (yaml.SafeLoader, TextLoader)]

        def is_changed(key: str) -> bool:
            read, written = (_find(entries, region, key) for entries in readings)
            return isinstance(written, str) and not isinstance(read, str) and written != str(read)

        return is_changed

    def _read_entries(self, loader: Callable[[IO[str]], SafeLoader], cloud: str) -> list[dict[str, Any]]:
        """Return the entry in secure.yaml and in clouds.yaml."""
        found = []
        for path in filter(None, (self.secure_path, self.path)):
            with open(path, encoding="utf-8") as file:
                found.append(_mapping(_mapping(_mapping(loader(file).get_single_data()).get("clouds")).get(cloud)))
        return found

    def keys(self, cloud: str) -> list[str]:
        """Return the keys beside `auth`, also those of regions, with ``_`` for ``-``."""
        entries = [_find_entry(root, cloud) for root in (self.root, self.secure_root)]
        holders = [holder for entry in entries for holder in (entry, *_values_of_regions(entry))]
        return [key.replace("-", "_") for holder in holders for key in _get_keys(holder)]


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _find(entries: Sequence[dict[str, Any]], region: str | None, key: str) -> object:
    """Return the first value of a key: the chosen region's comes before the entry's."""
    listed = [entry["regions"] for entry in entries if isinstance(entry.get("regions"), list)]
    regions = [_mapping(part) for parts in listed for part in parts]
    chosen = [_mapping(part.get("values")) for part in regions if part.get("name") == region]
    holders = (holder for entry in (*chosen, *entries) for holder in (_mapping(entry.get("auth")), entry))
    values = (value for holder in holders for name, value in holder.items() if normalize(str(name)) == normalize(key))
    return next(values, None)


def check_document(cloud: str, files: Iterable[str], secure_files: Iterable[str] = ()) -> Document:
    """Return the first file of each kind.

    Raises `SettingsError` if no file exists, or if the entry is missing or unclear.
    """
    path = first_file(files)
    if path is None:
        raise SettingsError(messages.no_clouds_file(cloud))
    secure = first_file(secure_files)
    document = Document(path, _compose(path), secure or "", _compose(secure) if secure else None)
    names = _get_keys(document.root)
    if "clouds" not in names:
        raise SettingsError(messages.no_clouds_key(path, names))
    if secure and (written := _get_keys(document.secure_root)) and "clouds" not in written:
        raise SettingsError(messages.no_clouds_key(secure, written))
    entries = _get_keys(_value(document.root, "clouds"))
    if cloud not in entries:
        raise SettingsError(messages.no_such_entry(cloud, path, entries))
    if not _get_keys(_find_entry(document.root, cloud)):
        raise SettingsError(messages.empty_entry(document.origin(cloud)))
    for file, root in ((path, document.root), (document.secure_path, document.secure_root)):
        _check_repeated(file, root, cloud)
    _check_secrets_belong(document, cloud)
    return document


def _check_secrets_belong(document: Document, cloud: str) -> None:
    """Refuse secrets of an entry in another clouds.yaml, which may be of another cloud.

    Raises `SettingsError`.
    """
    if _find_entry(document.secure_root, cloud) is None:
        return
    beside = os.path.join(os.path.dirname(document.secure_path), "clouds.yaml")
    if os.path.realpath(beside) == os.path.realpath(document.path) or not os.path.exists(beside):
        return
    other = _find_entry(_compose(beside), cloud)
    # A copy of the entry is the same cloud.
    if other is not None and _to_text(other) != _to_text(_find_entry(document.root, cloud)):
        raise SettingsError(messages.secrets_of_other_file(document.secure_path, cloud, document.path))


def _to_text(node: Node | None) -> str:
    import yaml

    return "" if node is None else yaml.serialize(node)


def first_file(files: Iterable[str]) -> str | None:
    """Return the first file that exists: openstacksdk reads no other."""
    return next((path for path in files if os.path.exists(path)), None)


def normalize(key: str) -> str:
    """Return a key as openstacksdk reads it: `tenant-id` is `project_id`."""
    return key.replace("-", "_").replace("tenant_", "project_")


def _compose(path: str) -> Node | None:
    """Return the nodes of a YAML file, with their lines. Raises `SettingsError`."""
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            return yaml.compose(file, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        # Without its words, which may be a part of a credential.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(messages.no_yaml(path, line)) from None
    except UnicodeError:
        raise SettingsError(messages.entry_unreadable(path, "it is not UTF-8")) from None
    except RecursionError:
        raise SettingsError(messages.entry_unreadable(path, "it is nested too deeply")) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(messages.entry_unreadable(path, getattr(error, "strerror", None) or "no text")) from None


def _check_repeated(path: str, root: Node | None, cloud: str) -> None:
    """Refuse a repeated key, of which YAML takes the last.

    Raises `SettingsError`.
    """
    clouds = _value(root, "clouds")
    _check_mapping(path, (pair for pair in _get_pairs(root) if pair[0].value == "clouds"))
    _check_mapping(path, (pair for pair in _get_pairs(clouds) if pair[0].value == cloud))
    entry = _value(clouds, cloud)
    for node in _walk_nodes(entry, set()):
        _check_texts(path, _get_pairs(node))
        _check_mapping(path, _get_pairs(node))
    # A key may be both below `auth` and beside it, if the two values are equal.
    _check_mapping(path, [*_get_pairs(_value(entry, "auth")), *_get_pairs(entry)], is_same_allowed=True)


def _check_texts(path: str, pairs: Iterable[tuple[Node, Node]]) -> None:
    """Refuse a key that YAML does not read as text. Raises `SettingsError`."""
    for key, _ in pairs:
        if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            raise SettingsError(messages.key_is_no_text(path, key.start_mark.line + 1))


def _check_mapping(path: str, pairs: Iterable[tuple[Node, Node]], *, is_same_allowed: bool = False) -> None:
    seen: dict[str, object] = {}
    for key, value in pairs:
        name = normalize(str(key.value))
        if name in seen and name != "<<" and not (is_same_allowed and value.value == seen[name]):
            raise SettingsError(messages.repeated_key(path, key.start_mark.line + 1, str(key.value)))
        seen[name] = value.value


def _walk_nodes(node: Node | None, seen: set[int]) -> Iterator[Node]:
    """Yield a node and all below it, each once: an alias may lead back to it."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    yield node
    for part in node.value if isinstance(node.value, list) else ():
        for below in part if isinstance(part, tuple) else (part,):
            yield from _walk_nodes(below, seen)


def _find_holders(root: Node | None, cloud: str) -> list[Node]:
    entry = _find_entry(root, cloud)
    regions = _values_of_regions(entry)
    # A region's values override those of the entry.
    holders = (*(_value(values, "auth") for values in regions), *regions, _value(entry, "auth"), entry)
    return [node for node in holders if node is not None]


def _values_of_regions(entry: Node | None) -> list[Node]:
    """Return the node `values` of each region of an entry."""
    import yaml

    regions = _value(entry, "regions")
    listed = regions.value if isinstance(regions, yaml.SequenceNode) else ()
    return [values for region in listed if (values := _value(region, "values")) is not None]


def _get_pairs(node: Node | None) -> list[tuple[Node, Node]]:
    import yaml

    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _get_keys(node: Node | None) -> list[str]:
    return [str(key.value) for key, _ in _get_pairs(node)]


def _value(node: Node | None, name: str) -> Node | None:
    return next((value for key, value in _get_pairs(node) if str(key.value) == name), None)


def _find_entry(root: Node | None, cloud: str) -> Node | None:
    return _value(_value(root, "clouds"), cloud)


def _line(node: Node | None, name: str) -> int | None:
    return next(
        (key.start_mark.line + 1 for key, _ in _get_pairs(node) if normalize(str(key.value)) == normalize(name)), None
    )
