"""Random variables, files and configuration: the documented rules' project and region, or a refusal before any call.

The rules are written a second time here, as docs/sign-in.md says them. Nothing is sent: the addresses are looked at.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulumi_cbr.api.errors import SettingsError
from pulumi_cbr.api.settings import load

# openstacksdk warns of an option of its own, which nobody set.
pytestmark = pytest.mark.filterwarnings("ignore:Support for InfluxDB")

EXAMPLES = 200
PROJECTS = tuple(digit * 32 for digit in "abc")
REGIONS = ("eu-de", "eu-nl", "ap-southeast-1", "zz-north-7")
HOSTS = {
    "eu-de": "cbr.eu-de.otc.t-systems.com",
    "eu-nl": "cbr.eu-nl.otc.t-systems.com",
    "ap-southeast-1": "cbr.ap-southeast-1.myhuaweicloud.com",
}
#: One region, or the first of two.
ENTRY_REGIONS = ("region_name: eu-de", "regions: [eu-de, eu-nl]")
CONTRADICTION = "two projects"
ENTRY = """
clouds:
  one: {%s, auth: {ak: k, sk: s, project_id: %s}}
"""

Places = dict[str, dict[str, str]]


def place(project: str, region: str, key: str, secret: str) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries(
        {},
        optional={
            project: st.sampled_from(PROJECTS),
            region: st.sampled_from(REGIONS),
            key: st.just("k"),
            secret: st.just("s"),
        },
    )


def expected(stack: dict[str, str], env: dict[str, str], cloud: str | None) -> tuple[str, str] | None:
    """Return the project and the region that the documented rules name, or None for a refusal."""

    def of(prefix: str) -> dict[str, str]:
        names = {
            "TENANT_ID": "projectId",
            "PROJECT_ID": "projectId",
            "REGION_NAME": "region",
            "ACCESS_KEY": "accessKey",
            "SECRET_KEY": "secretKey",
        }
        return {setting: env[prefix + name] for name, setting in names.items() if prefix + name in env}

    def complete(values: dict[str, str]) -> bool:
        return {"accessKey", "secretKey"} <= values.keys()

    def begun(values: dict[str, str]) -> bool:
        return bool({"accessKey", "secretKey"} & values.keys())

    entry = {"projectId": PROJECTS[0], "region": "eu-de", "accessKey": "k", "secretKey": "s"}
    os_, hw = of("OS_"), of("HW_")
    if {"OS_PROJECT_ID", "OS_TENANT_ID"} <= env.keys() and env["OS_PROJECT_ID"] != env["OS_TENANT_ID"]:
        os_["projectId"] = CONTRADICTION
    if cloud:
        values = entry
    elif "cloud" in stack:
        values = {**entry, **stack}
    elif complete(stack):
        scope = next(
            (family for family in (os_, hw) if not begun(family) and {"projectId", "region"} & family.keys()), {}
        )
        values = {**scope, **stack}
    elif "OS_CLOUD" in env:
        if "OS_TRUST_ID" in env:
            return None
        values = {**entry, **os_, **stack}
    else:
        families = [family for family in (os_, hw) if complete(family)]
        if begun(stack):
            families = [family for family in (os_, hw) if complete({**family, **stack})]
        if not families:
            return None
        if "OS_TRUST_ID" in env and families[0] is os_:
            return None
        values = {**families[0], **stack}
        if families[0].get("region") in HOSTS and stack.get("region") in HOSTS:
            own, wanted = (HOSTS[region].split(".", 2)[2] for region in (families[0]["region"], stack["region"]))
            if own != wanted:
                return None
    region = values.get("region")
    if region not in HOSTS or values.get("projectId") == CONTRADICTION:
        return None
    if values["region"] != "eu-de" and (cloud or "cloud" in stack or ("OS_CLOUD" in env and not complete(stack))):
        # The entry's own region tells its cloud.
        chosen_by_entry = HOSTS[region].split(".", 2)[2] == "otc.t-systems.com"
        if not chosen_by_entry:
            return None
    return values.get("projectId", ""), region


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(
    stack=place("projectId", "region", "accessKey", "secretKey"),
    os_=place("OS_PROJECT_ID", "OS_REGION_NAME", "OS_ACCESS_KEY", "OS_SECRET_KEY"),
    more=st.fixed_dictionaries(
        {}, optional={"OS_TENANT_ID": st.sampled_from(PROJECTS), "OS_TRUST_ID": st.just("trust")}
    ),
    hw=place("HW_PROJECT_ID", "HW_REGION_NAME", "HW_ACCESS_KEY", "HW_SECRET_KEY"),
    named=st.sampled_from([None, None, "argument", "stack", "OS_CLOUD"]),
    regions=st.sampled_from(ENTRY_REGIONS),
)
def test_project_and_region_follow_the_rules_or_are_refused(
    stack: dict[str, str],
    os_: dict[str, str],
    more: dict[str, str],
    hw: dict[str, str],
    named: str | None,
    regions: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "clouds.yaml").write_text(ENTRY % (regions, PROJECTS[0]))
    stack = {**stack, **({"cloud": "one"} if named == "stack" else {})}
    env = {**os_, **more, **hw, **({"OS_CLOUD": "one"} if named == "OS_CLOUD" else {})}
    cloud = "one" if named == "argument" else None
    with monkeypatch.context() as patch:
        for name, value in {**env, "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}.items():
            patch.setenv(name, value)
        wanted = expected(stack, env, cloud)
        try:
            found = load(stack.get, cloud=cloud)
        except SettingsError:
            assert wanted is None
            return
    assert wanted is not None
    project, region = wanted
    assert found.endpoint == f"https://{HOSTS[region]}"
    assert (found.project_id or "") == project
