"""Checks of inputs: each adds the normalized input, or a problem. Unknown values pass."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from pulumi_cbr import messages
from pulumi_cbr.api import ids
from pulumi_cbr.api.errors import InvalidId
from pulumi_cbr.api.models import MAX_MEMBERS
from pulumi_cbr.durations import to_seconds
from pulumi_cbr.lifecycle.controller import UNKNOWN, CheckedInputs, InputProblem, Properties


class Inputs:
    """Inputs of one resource while they are checked."""

    def __init__(self, news: Properties) -> None:
        self._news = news
        self._checked: dict[str, Any] = {}
        self._problems: list[InputProblem] = []

    def checked(self) -> CheckedInputs:
        """Return the checked inputs and all problems."""
        return CheckedInputs(self._checked, self._problems)

    def value(self, name: str) -> Any:
        """Return an input that is valid or not known yet."""
        return self._checked.get(name)

    def known_value(self, name: str) -> Any:
        """Return an input that is valid and known, else None."""
        value = self._checked.get(name)
        return None if value == UNKNOWN else value

    def add_problem(self, name: str, reason: str) -> None:
        """Add a problem of an input."""
        self._problems.append(InputProblem(name, reason))

    def backup_id(self) -> None:
        """Require a backup's UUID."""
        self._id("backup_id", ids.uuid)

    def vault_id(self) -> None:
        """Require a vault's UUID."""
        self._id("vault_id", ids.uuid)

    def dest_project_id(self, own_project_id: str | None) -> None:
        """Require a project's ID that is not one's own."""
        self._id("dest_project_id", ids.project_id)
        self.refuse_own_project("dest_project_id", self.known_value("dest_project_id"), own_project_id)

    def dest_project_ids(self, own_project_id: str | None, before: object) -> None:
        """Require one to ten IDs of other projects. Order and duplicates have no meaning.

        Projects of the list `before` keep their order, so that a preview shows a new one as an addition.
        """
        name = "dest_project_ids"
        given = self._news.get(name)
        if given == UNKNOWN:
            self._checked[name] = UNKNOWN
            return
        if not isinstance(given, list):
            self.add_problem(name, messages.wrong_project_list(None if given is None else format_value(given)))
            return
        projects = self._valid_projects(name, given)
        malformed = any(problem.property == name for problem in self._problems)
        # An unknown entry may turn out to be a duplicate.
        if len(projects - {UNKNOWN}) > MAX_MEMBERS or not (projects or malformed):
            self.add_problem(name, messages.wrong_project_count(len(projects), MAX_MEMBERS))
        for project in sorted(projects):
            self.refuse_own_project(name, project, own_project_id)
        # Unknown entries stay separate, because they may turn out to be different.
        unknown = [value for value in given if value == UNKNOWN]
        self._checked[name] = keep_order(projects - {UNKNOWN}, before) + unknown

    def _valid_projects(self, name: str, given: list[Any]) -> set[str]:
        """Return the entries that are IDs or not known yet; add a problem for each other one."""
        projects: set[str] = set()
        for index, value in enumerate(given):
            try:
                projects.add(UNKNOWN if value == UNKNOWN else ids.project_id(f"entry {index}", value))
            except InvalidId as error:
                self.add_problem(name, str(error))
        return projects

    def refuse_own_project(self, name: str, project: str | None, own_project_id: str | None) -> None:
        """Refuse a destination that is the backup's own project."""
        if project and project == own_project_id:
            self.add_problem(name, messages.own_project(project))

    def cloud(self) -> None:
        """Allow a name, but no empty one: without it, another account would sign in."""
        value = self._news.get("cloud")
        if value is None:
            return
        if not isinstance(value, str):
            self.add_problem("cloud", messages.wrong_input("a text", format_value(value)))
        elif value.strip():
            self._checked["cloud"] = value.strip()
        else:
            self.add_problem("cloud", messages.empty_cloud())

    def flag(self, name: str) -> None:
        """Allow true or false. False is left out, so that the state does not store it."""
        value = self._news.get(name)
        if value == UNKNOWN or value is True:
            self._checked[name] = value
        elif value is not None and value is not False:
            self.add_problem(name, messages.wrong_input("true or false", format_value(value)))

    def duration(self, name: str) -> None:
        """Allow seconds or a text such as ``15m``. A 0 is left out."""
        value = self._news.get(name)
        if value is None or value == UNKNOWN:
            self._checked.update({name: value} if value else {})
            return
        try:
            if to_seconds(value):
                self._checked[name] = value.strip() if isinstance(value, str) else value
        except ValueError:
            self.add_problem(name, messages.wrong_input("seconds, or a text such as 15m or 1h30m", format_value(value)))

    def _id(self, name: str, form: Callable[[str, object], str]) -> None:
        value = self._news.get(name)
        try:
            self._checked[name] = UNKNOWN if value == UNKNOWN else form(name, value)
        except InvalidId as error:
            self.add_problem(name, str(error).removeprefix(f"{name} "))


def keep_order(projects: Collection[str], before: object) -> list[str]:
    """Return projects in the order of an earlier list, then the others, sorted."""
    kept = [project for project in before if project in projects] if isinstance(before, list) else []
    return [*dict.fromkeys(kept), *sorted(set(projects) - set(kept))]


def format_value(value: object) -> str:
    """Return a value as text for a message; whole numbers arrive as floats."""
    text = repr(int(value)) if isinstance(value, float) and value.is_integer() else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
