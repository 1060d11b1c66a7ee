"""The page of `shares --html` in a real browser: filter, search, click, keys, colors, and values that look like code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from pulumi_cbr.shares.model import Share
from pulumi_cbr.shares.page import page
from unit.shares.rows import MANAGER, NOW, make_share

EVIL = "<img src=x onerror=\"document.title='hit'\"><script>document.title='hit'</script>'\"&\x1b[31m"
EVIL += "\u202e\u2066\u200f\u2028\u2029\x00</script>"

#: Whether an element has a place on the page, and is not hidden there.
VISIBLE = "e => e.getClientRects().length && e.checkVisibility({opacityProperty: true, visibilityProperty: true})"

#: Shows shares as a page.
Show = Callable[[list[Share]], "Page"]


class Page:
    """The page, in the words of who looks at it."""

    def __init__(self, chromium: Chrome) -> None:
        self.browser = chromium

    def all(self, selector: str) -> list[WebElement]:
        """Return the visible elements of a selector, by one call of the browser."""
        script = f"return [...document.querySelectorAll(arguments[0])].filter({VISIBLE})"
        found: list[WebElement] = self.browser.execute_script(script, selector)
        return found

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the visible elements of a selector."""
        script = f"return [...document.querySelectorAll(arguments[0])].filter({VISIBLE}).map(e => e.innerText.trim())"
        texts: list[str] = self.browser.execute_script(script, selector)
        return texts

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def count(self) -> str:
        return self.one("#count").text

    def choose(self, name: str, text: str) -> None:
        Select(self.one(f"select[name={name}]")).select_by_visible_text(text)

    def problems(self) -> list[Any]:
        problems: list[Any] = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        return problems

    def run(self, script: str) -> Any:
        return self.browser.execute_script(f"return {script}")


@pytest.fixture
def show(chromium: Chrome, tmp_path: Path) -> Show:
    def write(shares: list[Share]) -> Page:
        file = tmp_path / "page.html"
        file.write_text(page(shares, NOW), encoding="utf-8")
        chromium.get(file.as_uri())
        return Page(chromium)

    return write


def some_shares(count: int = 12) -> list[Share]:
    """Return shares of four servers with three projects; every fourth is in no stack."""
    statuses = ("accepted", "pending", "rejected", "gone")
    return [
        make_share(
            backup_id=f"{number:08x}-50b2-49d4-bd57-35b378502536",
            backup_name=f"nightly-{number}",
            dest_project_id=f"{number % 3:032x}",
            dest_project_name=f"project-{number % 3}",
            server_id=f"server-id-{number % 4}",
            server_name=f"server-{number % 4}",
            vault_id=f"vault-{number % 2}",
            status=statuses[number % 4],
            shared_at=NOW - timedelta(hours=number * 7),
            managed_by=() if number % 4 == 0 else (MANAGER,),
        )
        for number in range(count)
    ]


def test_page_shows_every_share_in_map_and_table(show: Show) -> None:
    shown = show(some_shares())
    assert len(shown.all(".map button.dot")) == len(shown.all("#list tbody tr")) == 12
    assert shown.count() == "12 of 12 shares"
    assert len(shown.all(".map button.dot.unmanaged")) == len(shown.all("#list .badge.unmanaged")) == 3
    assert [text.split("\n") for text in shown.texts(".tile")] == [
        ["12", "All shares"],
        ["3", "Pending"],
        ["3", "Accepted"],
        ["3", "Rejected"],
        ["3", "Gone"],
        ["3", "Unmanaged"],
    ]
    assert shown.problems() == []


def test_page_filters_map_and_table_together(show: Show) -> None:
    shown = show(some_shares())
    shown.choose("project", "project-1")
    assert shown.count() == "4 of 12 shares"
    assert len(shown.all(".map button.dot")) == len(shown.all("#list tbody tr")) == 4
    assert shown.texts(".map thead th") == ["Server", "project-1"]
    shown.choose("server", "server-1")
    assert [text.split("\n")[0] for text in shown.texts("#list tbody tr")] == ["nightly-1"]
    shown.one("#reset").click()
    assert shown.count() == "12 of 12 shares"
    shown.one(".tile[data-tile=unmanaged]").click()
    assert shown.count() == "3 of 12 shares"
    assert shown.one(".tile[data-tile=unmanaged]").get_attribute("aria-pressed") == "true"
    shown.one(".tile[data-tile=unmanaged]").click()
    shown.one(".map .pick[data-value=server-id-2]").click()
    assert len(shown.all("#list tbody tr")) == 3


def test_page_search_finds_names_and_ids(show: Show) -> None:
    shown = show(some_shares())
    shown.one("body").send_keys("/")
    box = shown.browser.switch_to.active_element
    box.send_keys("NIGHTLY-1 server-1")
    assert shown.count() == "1 of 12 shares"
    box.clear()
    box.send_keys("0000000b-50b2")
    assert [text.split("\n")[0] for text in shown.texts("#list tbody tr")] == ["nightly-11"]
    box.send_keys("nothing")
    assert shown.one("#empty").text == "No share matches."
    assert shown.all(".map button.dot") == []


def test_page_click_shows_a_share(show: Show) -> None:
    shown = show(some_shares())
    dot = shown.one(".map button.dot[data-i='5']")
    assert dot.get_attribute("aria-label") == "nightly-5, project-2: pending, managed"
    dot.click()
    detail = shown.one("#detail")
    assert "nightly-5\n00000005-50b2-49d4-bd57-35b378502536" in detail.text
    assert "prod/dr" in detail.text
    assert "selected" in (shown.one("#list tr[data-i='5']").get_attribute("class") or "")
    detail.find_element(By.ID, "close").click()
    assert not detail.is_displayed()
    assert shown.browser.switch_to.active_element == dot


def test_page_works_by_keyboard(show: Show) -> None:
    shown = show(some_shares())
    assert [dot.get_attribute("tabindex") for dot in shown.all(".map button.dot")].count("0") == 1
    first = shown.one(".map button.dot[tabindex='0']")
    first.send_keys(Keys.ARROW_RIGHT)
    second = shown.browser.switch_to.active_element
    assert second != first
    second.send_keys(Keys.ARROW_DOWN)
    below = shown.browser.switch_to.active_element
    column = "arguments[0].closest('td').dataset.c"
    columns = [shown.browser.execute_script(f"return {column}", dot) for dot in (second, below)]
    assert columns[0] == columns[1]
    assert below != second
    below.send_keys(Keys.ENTER)
    assert shown.one("#detail").is_displayed()
    shown.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not shown.one("#detail").is_displayed()
    shown.browser.switch_to.active_element.send_keys(Keys.END)
    assert shown.browser.switch_to.active_element == shown.all(".map button.dot")[-1]


def test_page_sorts_its_table(show: Show) -> None:
    shown = show(some_shares())
    header = next(button for button in shown.all("#list thead button") if button.text == "Age")
    header.click()
    ages = shown.texts("#list td[data-label=Age]")
    assert ages == sorted(ages, key=lambda age: (age[-1] == "d", int(age.split()[0])))
    header.click()
    assert shown.texts("#list td[data-label=Age]") == ages[::-1]
    assert shown.one("#list th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_page_runs_nothing_of_a_value(show: Show) -> None:
    share = make_share(
        backup_name=EVIL,
        backup_id=EVIL,
        server_name=EVIL,
        server_id=EVIL,
        vault_name=EVIL,
        vault_id=EVIL,
        dest_project_id=EVIL,
        dest_project_name=EVIL,
        source_project_name=EVIL,
        status=EVIL,
        cloud=EVIL,
        image_id=EVIL,
        dest_vault_name=EVIL,
    )
    shown = show([share])
    assert shown.browser.title == "Who can see our backups?"
    assert shown.run("document.images.length") == 0
    assert shown.run("document.scripts.length") == 1
    assert "<img src=x onerror=" in shown.one("#list tbody td").text
    source = Path(shown.browser.current_url.removeprefix("file://")).read_text(encoding="utf-8")
    assert not {"\x1b", "\u202e", "\u2066", "\u200f", "\u2028", "\u2029", "\x00"} & set(source)
    shown.one(".map button.dot").click()
    assert "<img src=x" in shown.one("#detail").text
    assert shown.browser.title == "Who can see our backups?"
    assert shown.problems() == []


def test_page_policy_stops_scripts_and_requests(show: Show) -> None:
    shown = show(some_shares(1))
    shown.run("(document.body.insertAdjacentHTML('beforeend', '<img src=https://example.com/x>'), 0)")
    shown.run(
        "(document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'})), 0)"
    )
    assert shown.browser.title == "Who can see our backups?"
    problems = [str(entry["message"]) for entry in shown.problems()]
    assert len(problems) == 2
    assert all("Content Security Policy" in problem for problem in problems)
    source = Path(shown.browser.current_url.removeprefix("file://")).read_text(encoding="utf-8")
    assert "http" not in source.replace("http-equiv", "")


def test_page_fits_with_a_thousand_shares(show: Show) -> None:
    shown = show(some_shares(1000))
    browser = shown.browser
    try:
        for width, scheme in (1280, "dark"), (390, "light"):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            # The page never scrolls sideways: the map does, in its own frame.
            assert shown.run("document.documentElement.scrollWidth") <= width
            background = shown.run("getComputedStyle(document.body).backgroundColor")
            assert (int(background.removeprefix("rgb(").partition(",")[0]) < 128) == (scheme == "dark")
            assert len(browser.get_screenshot_as_png()) > 20_000
            assert shown.one(".map button.dot").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_page_prints_table_without_controls(show: Show) -> None:
    shown = show(some_shares())
    shown.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert shown.all(".filters") == []
        assert len(shown.all("#list tbody tr")) == 12
        assert shown.run("getComputedStyle(document.querySelector('.list-scroll')).overflow") == "visible"
    finally:
        shown.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_page_without_shares_says_so(show: Show) -> None:
    shown = show([])
    assert shown.one("#empty").is_displayed()
    assert shown.problems() == []


def test_page_of_received_shares_names_the_owners(show: Show) -> None:
    named = make_share(received=True, source_project_name="production")
    unnamed = make_share(received=True, source_project_id="f" * 32, source_project_name=None)
    shown = show([named, unnamed])
    assert shown.one("h1").text == "What is shared with us?"
    assert shown.texts(".map thead th") == ["Server", "f" * 32, "production"]
    # An ID in place of a name takes less room.
    assert shown.texts(".map thead .id") == ["f" * 32]
