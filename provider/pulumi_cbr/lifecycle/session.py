"""The clients of the service, each with its caches."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pulumi_cbr import messages
from pulumi_cbr.api.addresses import is_same_region
from pulumi_cbr.api.endpoints import host_of, is_loopback
from pulumi_cbr.api.errors import CbrError, NotAllowed, NotFound
from pulumi_cbr.api.retry import CallLimits, Clock
from pulumi_cbr.api.settings import ConfigLookup, Settings, find_project_id, load, read_option
from pulumi_cbr.lifecycle.member_cache import MemberCache
from pulumi_cbr.lifecycle.ownership import Ownership
from pulumi_cbr.lifecycle.preflight import Preflight, PreflightState

if TYPE_CHECKING:
    from pulumi_cbr.api.client import CbrClient


class CloudSession:
    """The client of one account and project, with its caches."""

    def __init__(self, settings: Settings, timing: Clock | None, limits: CallLimits, registry: SessionRegistry) -> None:
        self._settings = settings
        self._limits = limits
        self._registry = registry
        self._lock = threading.Lock()
        self._timing = timing or Clock()
        self._client: CbrClient | None = None
        #: Backups that exist here, although their state names another CBR address.
        self._verified_backups: set[str] = set()
        #: The claims of the operation: `SessionRegistry.get` sets them.
        self.ownership: Ownership = Ownership()
        self.member_cache: MemberCache = MemberCache(
            lambda backup_id: self.client.list_members(backup_id), timing=self._timing, timeout=settings.timeout
        )
        self.preflight: Preflight = Preflight(
            lambda: self.client, registry.preflight_state, timing=self._timing, timeout=settings.timeout
        )

    @property
    def client(self) -> CbrClient:
        """The client, made at its first use because it loads requests and keystoneauth1."""
        with self._lock:
            if self._client is None:
                from pulumi_cbr.api.client import CbrClient

                self._client = CbrClient(self._settings, timing=self._timing, limits=self._limits)
            return self._client

    def invalidate(self, backup_id: str, *projects: str) -> None:
        """Forget what all sessions have read of a backup's members.

        `projects` are those whose share changed, if they are known.
        """
        self._registry.preflight_state.mark_changed(backup_id)
        for session in self._registry.sessions():
            session.member_cache.invalidate(backup_id, projects)

    def endpoint_output(self) -> dict[str, str]:
        """Return the output `endpoint`: the CBR address without the project.

        It is left out for a simulator on this machine, whose port changes.
        """
        endpoint = self._endpoint()
        return {} if is_loopback(host_of(endpoint)) else {"endpoint": endpoint}

    def _endpoint(self) -> str:
        return self.client.endpoint().rpartition("/v3/")[0]

    def check_same_source(self, backup_id: str, state: Mapping[str, Any]) -> None:
        """Raise `CbrError` if the session is of another project or region than a state's share.

        There, the service answers 404 for every backup: a refresh would empty the state, and a destroy would leave the share.
        """
        own, source = self.client.project_id(), state.get("source_project_id")
        if source and source != own:
            raise CbrError(messages.other_source_project(source, own))
        self.check_same_endpoint(backup_id, state.get("endpoint"))

    def check_same_endpoint(self, backup_id: str, recorded: str | None, project: str | None = None) -> None:
        """Raise `CbrError` if the backup was shared in another region, and is not here.

        `recorded` is the CBR address in the state. With `project`, a share with this project is enough: a receiver may not be
        allowed to see the backup.
        """
        if not recorded or backup_id in self._verified_backups or is_same_region(recorded, here := self._endpoint()):
            return
        try:
            self._check_backup_exists(backup_id, project)
        except NotFound as error:
            raise CbrError(messages.other_endpoint(backup_id, recorded, here)) from error
        self._verified_backups.add(backup_id)

    def _check_backup_exists(self, backup_id: str, project: str | None) -> None:
        """Look a backup up, or its share with a project. Raises `NotFound`."""
        if project:
            with suppress(NotFound, NotAllowed):
                self.client.show_member(backup_id, project)
                return
        try:
            self.client.show_backup(backup_id)
        except NotAllowed:
            self.client.list_members(backup_id)


class SessionRegistry:
    """The sessions of a process, one for equal settings. Thread-safe."""

    def __init__(self) -> None:
        #: The slots for calls in flight, unless a `SessionPool` has its own.
        self.limits: CallLimits = CallLimits()
        self.preflight_state: PreflightState = PreflightState()
        self._lock = threading.Lock()
        self._sessions: dict[tuple[Settings, Clock | None], CloudSession] = {}

    def get(self, settings: Settings, timing: Clock | None, limits: CallLimits, ownership: Ownership) -> CloudSession:
        """Return the session of some settings, which records claims in `ownership` from now on."""
        with self._lock:
            session = self._sessions.get((settings, timing))
            if session is None:
                session = self._sessions[settings, timing] = CloudSession(settings, timing, limits, self)
            session.ownership = ownership
            return session

    def sessions(self) -> list[CloudSession]:
        """Return all sessions."""
        with self._lock:
            return list(self._sessions.values())


#: The sessions of this process.
PROCESS = SessionRegistry()


class SessionPool:
    """The sessions of one stack by cloud name, from `registry` or from that of the process."""

    def __init__(
        self,
        config: ConfigLookup,
        timing: Clock | None = None,
        limits: CallLimits | None = None,
        ownership: Ownership | None = None,
        registry: SessionRegistry | None = None,
    ) -> None:
        registry = registry or PROCESS
        self._config = config
        #: The claims of this operation.
        self.ownership: Ownership = ownership or Ownership()
        self._registry = registry
        self._limits = limits or registry.limits
        self._timing = timing
        self._lock = threading.Lock()
        self._settings: dict[str | None, Settings] = {}
        self._options: dict[str, object] = {}

    def get(self, cloud: str | None) -> CloudSession:
        """Return the session of a cloud, or of the stack's settings. Raises `SettingsError`."""
        with self._lock:
            if cloud not in self._settings:
                self._settings[cloud] = load(self._config, cloud=cloud)
            settings = self._settings[cloud]
        return self._registry.get(settings, self._timing, self._limits, self.ownership)

    def mark_managed(self, backup_id: str, project: str) -> None:
        """Record that a resource has a share, which preflight does not check again."""
        self._registry.preflight_state.mark_managed(backup_id, project)

    def flag(self, name: str) -> bool:
        """Return whether a setting such as ``adoptExisting`` is on. Raises `SettingsError`."""
        return bool(self._option(name))

    def configured_project_id(self, cloud: str | None) -> str | None:
        """Return the own project's ID if the settings have it. Raises `SettingsError`.

        With a cloud, None: its entry is not read here.
        """
        if cloud or self._option("cloud"):
            return None
        return self._project_id

    @cached_property
    def _project_id(self) -> str | None:
        return find_project_id(self._config)

    def _option(self, name: str) -> object:
        # Each resource needs it, and it is the same for all.
        if name not in self._options:
            self._options[name] = read_option(name, self._config)
        return self._options[name]
