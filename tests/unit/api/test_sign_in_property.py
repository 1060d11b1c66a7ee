"""Random variables, files and configuration: the documented rules' project and region, or a refusal before any call.

The rules are written a second time here, as docs/sign-in.md says them. Nothing is sent: the addresses are looked at. This
is for access keys; test_sign_in_token_property.py has the ways that fetch a token.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulumi_cbr.api.errors import SettingsError
from pulumi_cbr.api.settings import load
from unit.api.random_places import (
    AGENCY,
    CONTRADICTION,
    ENTRY_REGIONS,
    HOSTS,
    MORE_VARIABLES,
    NAMED_BY,
    PROJECTS,
    Values,
    domain_of,
    environment,
    merge,
    place,
    variables,
)
from unit.api.sign_in_rows import entry

# openstacksdk warns of an option of its own, which nobody set.
pytestmark = pytest.mark.filterwarnings("ignore:Support for InfluxDB")

EXAMPLES = 100
ENTRY = {"projectId": PROJECTS[0], "region": "eu-de", "accessKey": "k", "secretKey": "s"}
SCOPE = {"projectId", "region", *AGENCY, "delegatedProject"}
GIVEN = ("projectId", "region", "accessKey", "secretKey")


def expected(stack: Values, os_: Values, hw: Values, more: Values, named: str | None) -> tuple[str, str] | None:
    """Return the project and the region that the documented rules name, or None for a refusal."""

    def complete(values: Values) -> bool:
        return {"accessKey", "secretKey"} <= values.keys()

    def begun(values: Values) -> bool:
        return bool({"accessKey", "secretKey", "cloud"} & values.keys())

    if "OS_TENANT_ID" in more:
        differs = os_.get("projectId", more["OS_TENANT_ID"]) != more["OS_TENANT_ID"]
        os_ = {**os_, "projectId": CONTRADICTION if differs else more["OS_TENANT_ID"]}
    if named == "OS_CLOUD":
        os_ = {**os_, "cloud": "one"}
    if named == "argument":
        places = [ENTRY]
    elif named == "stack":
        places = [stack, ENTRY]
    elif complete(stack):
        adding = [family for family in (os_, hw) if not begun(family) and SCOPE & family.keys()]
        places = [stack, *adding[:1]]
    elif "OS_TRUST_ID" in more and (named == "OS_CLOUD" or _family(stack, os_, hw) is os_):
        return None
    elif named == "OS_CLOUD":
        places = [stack, os_, ENTRY]
    else:
        family = _family(stack, os_, hw)
        if family is None:
            return None
        places = [stack, family]
    values = merge(places)
    region = values.get("region")
    if region not in HOSTS or values.get("projectId") == CONTRADICTION:
        return None
    # Access keys cannot act for an agency. One that adds nothing must belong to other credentials.
    unused = [] if named in ("argument", "stack") else [family for family in (os_, hw) if not begun(family)]
    if {"agencyName", "delegatedProject"} & values.keys() or any("agencyName" in family for family in unused):
        return None
    # One cloud: the region in use, and those of the entry and of the places that give a key.
    givers = [next(place for place in places if key in place) for key in ("accessKey", "secretKey")]
    told = [domain_of(place.get("region")) for place in (*givers, *(place for place in places if place is ENTRY))]
    if any(domain and domain != domain_of(region) for domain in told):
        return None
    return values.get("projectId", ""), region


def _family(stack: Values, os_: Values, hw: Values) -> Values | None:
    """Return the variables whose keys sign in, together with the one that the stack may have."""
    keys = {"accessKey", "secretKey"}
    return next((family for family in (os_, hw) if keys <= stack.keys() | family.keys()), None)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    stack=place(GIVEN),
    os_=place(GIVEN, "OS"),
    more=MORE_VARIABLES,
    hw=place(GIVEN, "HW"),
    named=NAMED_BY,
    regions=st.sampled_from(ENTRY_REGIONS),
)
def test_project_and_region_follow_the_rules_or_are_refused(
    stack: Values,
    os_: Values,
    more: Values,
    hw: Values,
    named: str | None,
    regions: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = expected(stack, os_, hw, more, named)
    config = {**stack, **({"cloud": "one"} if named == "stack" else {})}
    shell = {
        **variables("OS", os_),
        **more,
        **variables("HW", hw),
        **({"OS_CLOUD": "one"} if named == "OS_CLOUD" else {}),
    }
    clouds_yaml = entry(f"ak: k, sk: s, project_id: {PROJECTS[0]}", beside=regions)
    with environment(shell, clouds_yaml, tmp_path, monkeypatch):
        try:
            found = load(config.get, cloud="one" if named == "argument" else None)
        except SettingsError:
            assert wanted is None
            return
    assert wanted is not None, (stack, os_, more, hw, named)
    project, region = wanted
    assert found.endpoint == f"https://{HOSTS[region]}"
    assert (found.project_id or "") == project
