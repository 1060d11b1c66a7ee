"""The identity service: passcodes, delegation, domains of projects, and the catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from pulumi_cbr.simulator import Account, Simulator
from pulumi_cbr.simulator.identity import AGENCY, Identity, SignInRefused, Token, generate_passcode
from pulumi_cbr.simulator.options import Switches
from pulumi_cbr.simulator.state import State
from waiting import PATIENCE

NOW = 1_580_897_914.0
Document = dict[str, Any]


class Service:
    """The identity service of a state at a fixed time."""

    def __init__(self, **switches: Any) -> None:
        self.time = NOW
        self.state = State(switches=Switches(**switches), now=lambda: self.time)
        self.identity = Identity(self.state)
        self.owner = self.state.account("owner")
        self.receiver = self.state.account("receiver")

    def sign_in(self, identity: Document, scope: Document | None = None, caller: Account | None = None) -> Token:
        auth = {"identity": identity} | ({"scope": scope} if scope else {})
        return self.identity.sign_in({"auth": auth}, lambda: caller or self.receiver)

    def describe(self, token: Token) -> Document:
        body: Document = self.identity.describe(token, "http://x")["token"]
        return body


def password(account: Account) -> Document:
    return {"methods": ["password"], "password": {"user": {"id": account.user_id, "password": account.password}}}


def passcode(account: Account, code: str) -> Document:
    return {"methods": ["totp"], "totp": {"user": {"id": account.user_id, "passcode": code}}}


def both(account: Account, code: str) -> Document:
    return {**password(account), **passcode(account, code), "methods": ["password", "totp"]}


def delegate(**changed: Any) -> Document:
    return {"methods": ["assume_role"], "assume_role": {"agency_name": AGENCY, "domain_name": "owner-domain"} | changed}


def project(account: Account) -> Document:
    return {"project": {"id": account.project_id}}


# Passcodes


@pytest.mark.parametrize(("now", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_passcode_is_that_of_rfc_6238(now: int, code: str) -> None:
    assert generate_passcode(b"12345678901234567890", now) == code


@pytest.mark.parametrize("required", [False, True])
def test_password_needs_a_passcode_if_required(required: bool) -> None:
    service = Service(passcode_required=required)
    code = service.identity.passcode(service.owner)

    token = service.sign_in(both(service.owner, code), project(service.owner))
    assert (token.account, token.methods) == (service.owner, ("password", "totp"))
    for single in (password(service.owner), passcode(service.owner, code)):
        if required:
            with pytest.raises(SignInRefused, match="Additional authentications") as refused:
                service.sign_in(single)
            assert refused.value.status == 401
        else:
            assert service.sign_in(single).account == service.owner


@pytest.mark.parametrize(("age", "accepted"), [(0, True), (30, True), (60, False)])
def test_passcode_is_valid_for_two_periods(age: int, accepted: bool) -> None:
    service = Service()
    code = service.identity.passcode(service.owner)
    service.time += age

    if accepted:
        assert service.sign_in(passcode(service.owner, code)).account == service.owner
    else:
        with pytest.raises(SignInRefused, match="passcode is wrong"):
            service.sign_in(passcode(service.owner, code))


def test_passcode_of_another_user_is_refused() -> None:
    service = Service()
    mixed = {**password(service.owner), **passcode(service.receiver, service.identity.passcode(service.receiver))}

    with pytest.raises(SignInRefused, match="different users"):
        service.sign_in({**mixed, "methods": ["password", "totp"]})


# Delegation


@pytest.mark.parametrize(
    "names", [{}, {"domain_name": "x", "domain_id": "{owner}"}, {"agency_name": AGENCY, "xrole_name": "x"}]
)
def test_agency_gives_a_token_of_its_domain(names: Document) -> None:
    service = Service()
    names = {name: value.replace("{owner}", service.owner.domain_id) for name, value in names.items()}

    token = service.sign_in(delegate(**names), project(service.owner), service.receiver)

    assert (token.account, token.project_id, token.assumed_by) == (
        service.owner,
        service.owner.project_id,
        service.receiver,
    )
    body = service.describe(token)
    assert body["user"]["name"] == f"owner-domain/{AGENCY}"
    assert body["assumed_by"]["user"]["name"] == "receiver"
    assert body["methods"] == ["assume_role"]


REFUSED: list[tuple[Callable[[Service], object], int]] = [
    (lambda s: s.sign_in(delegate(agency_name="other"), caller=s.receiver), 401),
    (lambda s: s.sign_in(delegate(domain_name="other"), caller=s.receiver), 401),
    (lambda s: s.sign_in(delegate(), caller=s.owner), 401),
    (lambda s: s.sign_in(delegate(), project(s.receiver), s.receiver), 401),
    (lambda s: s.sign_in({"methods": ["assume_role", "token"]}), 400),
    (lambda s: s.sign_in({"methods": ["assume_role"]}), 400),
]


@pytest.mark.parametrize(("sign_in", "status"), REFUSED)
def test_agency_that_does_not_fit_is_refused(sign_in: Callable[[Service], object], status: int) -> None:
    with pytest.raises(SignInRefused) as refused:
        sign_in(Service())
    assert refused.value.status == status


def test_agency_needs_the_permission_to_assume_it() -> None:
    service = Service()
    service.state.deny("iam:agencies:assume", "receiver")

    with pytest.raises(SignInRefused) as refused:
        service.sign_in(delegate(), project(service.owner), service.receiver)
    assert refused.value.status == 403


def test_delegated_token_calls_the_api_as_the_owner(cbr_simulator: Simulator) -> None:
    with requests.Session() as session:
        tokens = f"{cbr_simulator.url}/v3/auth/tokens"

        def sign_in(identity: Document, account: Account, token: str | None = None) -> requests.Response:
            auth = {"auth": {"identity": identity, "scope": project(account)}}
            return session.post(tokens, json=auth, headers={"X-Auth-Token": token}, timeout=PATIENCE)

        assert sign_in(delegate(), cbr_simulator.owner).status_code == 401
        first = sign_in(password(cbr_simulator.receiver), cbr_simulator.receiver)
        delegated = sign_in(delegate(), cbr_simulator.owner, first.headers["X-Subject-Token"])
        headers = {"X-Auth-Token": delegated.headers["X-Subject-Token"]}
        base = f"{cbr_simulator.url}/v3/{cbr_simulator.owner.project_id}"

        assert session.get(f"{base}/backups", headers=headers, timeout=PATIENCE).json()["count"] == 12


# Domains of projects, and the catalog


def test_project_domain_is_apart_from_the_users() -> None:
    service = Service(project_domains=True)
    name = service.owner.project_name

    body = service.describe(service.sign_in(password(service.owner), project(service.owner)))
    by_name = {"project": {"name": name, "domain": {"name": "owner-projects"}}}
    assert service.sign_in(password(service.owner), by_name).project_id == service.owner.project_id
    assert body["project"]["domain"]["name"] == "owner-projects"
    assert body["user"]["domain"]["name"] == "owner-domain"
    assert service.identity.projects(service.owner)[0]["domain_id"] == body["project"]["domain"]["id"]
    with pytest.raises(SignInRefused):
        service.sign_in(password(service.owner), {"project": {"name": name, "domain": {"name": "owner-domain"}}})


def urls(service: Service) -> dict[tuple[str, str], str]:
    """Return the URLs of the CBR endpoints by interface and region."""
    body = service.describe(service.sign_in(password(service.owner), project(service.owner)))
    (cbr,) = [entry for entry in body["catalog"] if entry["type"] == "cbr"]
    return {(endpoint["interface"], endpoint["region"]): endpoint["url"] for endpoint in cbr["endpoints"]}


def test_catalog_has_each_interface_in_each_region() -> None:
    service = Service(regions=["eu-de", "eu-nl"], interfaces=["public", "internal", "admin"])
    path = f"/v3/{service.owner.project_id}"

    assert urls(service) == {
        (interface, region): f"http://x{prefix}{path}"
        for region in ("eu-de", "eu-nl")
        for interface, prefix in (("public", ""), ("internal", "/internal"), ("admin", "/admin"))
    }


@pytest.mark.parametrize("template", ["%(project_id)s", "%(tenant_id)s", "$(project_id)s"])
def test_catalog_has_a_template(template: str) -> None:
    assert urls(Service(catalog_template=template)) == {("public", "eu-de"): f"http://x/v3/{template}"}


def test_interface_that_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="no such interface: secret"):
        Switches(interfaces=("public", "secret"))


@pytest.mark.parametrize("prefix", ["", "/internal", "/admin"])
def test_every_interface_is_served(cbr_simulator: Simulator, prefix: str) -> None:
    answer = requests.get(f"{cbr_simulator.url}{prefix}/v3", timeout=PATIENCE)

    assert answer.json()["version"]["id"] == "v3.14"
    assert [call.path for call in cbr_simulator.calls] == [f"{prefix}/v3"]


def test_passcode_is_an_action(cbr_simulator: Simulator) -> None:
    assert len(cbr_simulator.passcode("receiver")) == 6
