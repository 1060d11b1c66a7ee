"""Texts for users: one function for each message, with plain values in and one line out.

The form is ``<operation> failed: <cause> (<code>, HTTP <status>, request <id>). <One imperative sentence>.`` This module
imports nothing of the package, so that every other module may use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# Settings and signing in


def no_credentials() -> str:
    """Return the error of a run for which nothing says how to sign in."""
    return (
        "no credentials configured. Set OS_CLOUD, or OS_USERNAME and OS_PASSWORD, or OS_ACCESS_KEY and OS_SECRET_KEY, "
        "then run `python -m pulumi_cbr doctor`"
    )


def missing_settings(method: str, names: Sequence[str], places: Sequence[str]) -> str:
    """Return the error of a sign-in that lacks settings."""
    are = "is" if len(names) == 1 else "are"
    return f"signing in with {method} failed: {_join_with_and(names)} {are} missing. Set {_join_with_and(places)}"


def wrong_value(where: str, kind: type, value: object) -> str:
    """Return the error of a setting whose value has another type."""
    expected = {
        str: "a text",
        bool: "true or false",
        float: "a number of seconds above 0",
        int: "a whole number, 0 or above",
    }[kind]
    given = "" if value is None else f", not {str(value)[:40]!r}"
    return f"{where} must be {expected}{given}"


def not_one_line(where: str) -> str:
    """Return the error of a value with a line break or a control character."""
    return f"{where} must be one line of plain characters"


def not_among(where: str, given: str, choices: Sequence[str]) -> str:
    """Return the error of a setting that takes a few values, and has another."""
    return f"{where} must be one of {', '.join(choices)}, not {given!r}"


def unknown_auth_type(where: str, given: str, entry: str | None, known: Iterable[str]) -> str:
    """Return the error of an `OS_AUTH_TYPE` that variables alone cannot serve."""
    action = f"put `auth_type` into {entry}" if entry else "set OS_CLOUD or cbr:cloud"
    return f"{where} is `{given[:40]}`, which only an entry of clouds.yaml can have. Use one of {', '.join(known)}, or {action}"


def empty_cloud() -> str:
    """Return the error of a `cloud=` without a name."""
    return "`cloud` is an empty text. Name an entry of clouds.yaml, or leave `cloud` out"


def empty_setting(name: str) -> str:
    """Return the error of a `Provider` whose project, region or address is empty."""
    return f"cbr:{name} is an empty text. Give it a value, or leave it out"


def not_a_url(where: str) -> str:
    """Return the error of an address that is no URL, or has parts that it must not have."""
    return f"{where} must be a URL such as https://host/path. Leave out the user, the query and the fragment"


def plain_http(where: str, host: str) -> str:
    """Return the error of an address without encryption that is not on this machine."""
    return f"{where} is plain http, which shows the credentials on the way to {host}. Use https, or set cbr:insecure"


def not_a_region(where: str, given: str) -> str:
    """Return the error of a region with characters that no region has."""
    return f"{where} must be the name of a region such as eu-de, not {given[:60]!r}"


def not_a_domain(where: str, given: str) -> str:
    """Return the error of a cloud domain with characters that no domain has."""
    return f"{where} must be a domain such as myhuaweicloud.com, not {given[:60]!r}"


def no_certificates(where: str, given: str, why: str) -> str:
    """Return the error of certificates that cannot be read."""
    return f"{where} must be a file of certificates, not {given} ({why}). Correct it"


def pem_text() -> str:
    """Return the words for certificates that are given as text and not as a file."""
    return "the given PEM text"


def two_identities(first: str, second: str) -> str:
    """Return the error of two places that name different users or access keys."""
    return f"{first} and {second} name two users or keys. Set all credentials in one place"


def two_values(first: str, second: str, name: str) -> str:
    """Return the error of two places that give one setting different values."""
    return f"{first} and {second} contradict each other on {name}. Remove one of them"


def not_supported(where: str) -> str:
    """Return the error of a setting of OpenStack that the package cannot honor."""
    return f"{where} is not supported. Remove it"


def two_clouds(first: str, first_cloud: str, second: str, second_cloud: str) -> str:
    """Return the error of two addresses or regions of different clouds."""
    return f"{first} is at {first_cloud}, but {second} is at {second_cloud}. Nothing was sent. Set both for one cloud"


def hidden_domain(where: str, domain: str) -> str:
    """Return the error of a host with a public cloud's domain in its middle."""
    return f"{where} has {domain} in the middle of its host, not at the end. Nothing was sent. Correct the host"


def two_regions(first: str, first_region: str, second: str, second_region: str) -> str:
    """Return the error of two places that name different regions."""
    return f"{first} is in the region {first_region}, but {second} is {second_region}. Set both for one region"


def needs_agency(where: str, place: str) -> str:
    """Return the error of delegated access that lacks the agency."""
    return f"{where} needs the name of an agency. Set {place}"


def endpoint_of_other_project(where: str, found: str, project: str) -> str:
    """Return the error of a CBR address that contains the ID of another project."""
    return f"{where} is for project {found}, but you are signed in to project {project}. Remove the ID from it"


def unknown_region(region: str, place: str) -> str:
    """Return the error of a region that is in no table, or in those of two clouds."""
    return f"the region `{region}` is unknown, or several clouds have it. Set {place} to your cloud's domain"


def unknown_cbr_host(where: str, auth_url: str, place: str) -> str:
    """Return the error of an identity address that belongs to no known cloud."""
    return f"the address of CBR does not follow from {where} ({auth_url}). Set {place}"


def unknown_identity_host(place: str) -> str:
    """Return the error of access keys with a project name, on a cloud that is not known."""
    return f"the project's ID is missing, and without an identity address it cannot be looked up. Set {place}"


def no_identity_address(places: str) -> str:
    """Return the error of a sign-in without an identity address."""
    return f"the identity service's address is missing. Set {places}"


def renew_token(place: str) -> str:
    """Return the advice for a token that the service does not accept."""
    return f"The token is invalid or has expired: set a new one by {place}"


def check_access_key() -> str:
    """Return the advice for an access key that the service does not accept."""
    return "Check the access key, the secret key, the project's ID, and this machine's clock"


def check(what: str) -> str:
    """Return the advice to check something."""
    return f"Check {what}"


def other_project(found: str, wanted: str, place: str) -> str:
    """Return the error of credentials for another project than the settings name."""
    return f"the credentials are for project {found}, not for `{wanted}`. Correct or remove {place}"


def other_project_id(found: str, wanted: str, place: str) -> str:
    """Return the error of a token for another project ID than the settings have."""
    return f"the credentials are for project {found}, but projectId is {wanted}. Correct or remove {place}"


def token_for_no_project(place: str) -> str:
    """Return the error of a token that is for a domain, or for nothing."""
    return f"the token has no project scope. Set {place}"


def no_project_of_key(name: str, place: str) -> str:
    """Return the error of a project name that the access key has no project for."""
    return f"the access key has no project `{name}`. Set {place}"


def several_projects_of_key(name: str, place: str) -> str:
    """Return the error of a project name that two projects of the access key have."""
    return f"the access key has several projects `{name}`. Set {place}"


def catalog_without_cbr(interface: str, services: str, place: str) -> str:
    """Return the error of a cloud whose catalog has no address of CBR for the interface."""
    return f"the service catalog has no {interface} address of `cbr` (it has: {services}). Set {place}"


def catalog_without_region(region: str | None, offered: Sequence[str], place: str) -> str:
    """Return the error of a region that the catalog lacks, or that must be chosen."""
    cause = (
        f"no `cbr` in the region `{region}`{did_you_mean(region, offered)}" if region else "several regions of `cbr`"
    )
    return f"the service catalog has {cause}. Set {place} to one of {', '.join(offered)}"


def catalog_without_regions(place: str) -> str:
    """Return the error of a catalog that does not say in which region an address is."""
    return f"the service catalog has `cbr` in no named region. Set {place}"


def catalog_with_several(hosts: Sequence[str], place: str) -> str:
    """Return the error of a catalog with several addresses of CBR for one region."""
    return (
        f"the service catalog has several addresses of `cbr` for one region: {', '.join(hosts)}. Set {place} to yours"
    )


def catalog_elsewhere(host: str, place: str) -> str:
    """Return the error of a catalog whose address of CBR is in another cloud or region."""
    return f"the service catalog has {host} for `cbr`, which is another cloud or region. Nothing was sent to it. Set {place}"


def catalog_address() -> str:
    """Name the address that the service catalog has."""
    return "the service catalog's address of CBR"


def agency_not_used(where: str, condition: str, place: str) -> str:
    """Return the error of an agency in variables of one kind, beside credentials of another."""
    return f"{where} has no effect beside {condition}. Unset it, or set {place}"


def no_agency_with_keys(where: str, places: Sequence[str]) -> str:
    """Return the error of delegated access that is asked for with access keys."""
    return f"{where} needs a user or a token, not access keys. Set {_join_with_and(places)}"


def no_interface_with_keys(where: str, place: str) -> str:
    """Return the error of an interface that is asked for with access keys."""
    return f"{where} needs the service catalog, which access keys do not have. Set {place}"


def socks_package_missing(host: str) -> str:
    """Return the error of a SOCKS proxy without the package that speaks it."""
    return f"the proxy on the way to {host} is a SOCKS proxy, which needs PySocks. Run pip install 'requests[socks]'"


def both_environments(used: str, others: Sequence[str]) -> str:
    """Return the warning about two places that both have credentials."""
    return f"{used} and {', '.join(others)} both have credentials. {used} is used"


def place_not_used(condition: str) -> str:
    """Return the reason why no value of a place is used."""
    return f"it has no effect with {condition}"


def method_needs_no(method: str) -> str:
    """Return the reason why the method of signing in does not use a value."""
    return f"it has no effect with {method}"


def comes_before(origin: str) -> str:
    """Return the reason why a value is not used: another place has precedence."""
    return f"{origin} has precedence"


def not_checked(origin: str) -> str:
    """Return the reason why certificates are not used: none are checked."""
    return f"{origin} turns off the check of certificates"


def belongs_to_other_key() -> str:
    """Return the reason why a security token is not used."""
    return "it belongs to another access key"


def no_openstacksdk(cloud: str) -> str:
    """Return the error of a cloud in clouds.yaml without the package that reads it."""
    return f"the cloud `{cloud}` needs openstacksdk. Run pip install 'pulumi-cbr[clouds]'"


def no_clouds_file(cloud: str) -> str:
    """Return the error of a cloud that is named when there is no clouds.yaml."""
    return (
        f"the cloud `{cloud}` needs a clouds.yaml, which is not in this folder, ~/.config/openstack or /etc/openstack. "
        "Set OS_CLIENT_CONFIG_FILE"
    )


def no_yaml(path: str, line: int) -> str:
    """Return the error of a file that YAML cannot read."""
    return f"{path}, line {line}, is not YAML. Correct the line"


def no_such_file(where: str, path: str) -> str:
    """Return the error of a variable that names a missing file."""
    return f"{where} names {path}, which does not exist. Correct or unset it"


def repeated_key(path: str, line: int, key: str) -> str:
    """Return the error of a file in which a key appears twice: YAML drops the first."""
    return f"{path}, line {line}, gives `{key}` a second time. Remove one of the two"


def secrets_of_other_file(secure: str, cloud: str, path: str) -> str:
    """Return the error of a secure.yaml whose entry is that of another clouds.yaml."""
    return f"{secure} belongs to another entry `{cloud}` than that of {path}. Rename one of the two entries"


def key_is_no_text(path: str, line: int) -> str:
    """Return the error of a key that YAML reads as a number, a boolean, nothing or a list."""
    return f"{path}, line {line}, has a key that YAML does not read as text. Correct the key"


def name_is_no_text(entry: str) -> str:
    """Return the error of an entry whose name YAML reads as a number, a date or a boolean."""
    return f"YAML does not read the name of {entry} as text. Put the name in quotes"


def wrong_form(key_origin: str, form: str) -> str:
    """Return the error of a key in clouds.yaml whose value has another form."""
    return f"{key_origin} must be {form}. Correct the key"


def unknown_profile(key_origin: str, name: str) -> str:
    """Return the error of a `profile` that names no vendor."""
    return f"{key_origin} is `{name}`, which neither openstacksdk nor clouds-public.yaml has. Correct the key"


def entry_unreadable(path: str, why: str) -> str:
    """Return the error of a file that cannot be opened or decoded."""
    return f"{path} cannot be read ({why}). Correct the file"


def no_clouds_key(path: str, names: Sequence[str]) -> str:
    """Return the error of a clouds.yaml without its top key."""
    similar = next((name for name in names if did_you_mean(name, ["clouds"])), None)
    cause = f"`{similar}` for `clouds`" if similar else "no key `clouds`"
    return f"{path} has {cause}. Put the entries below `clouds:`"


def no_such_entry(cloud: str, path: str, entries: Sequence[str]) -> str:
    """Return the error of a cloud that clouds.yaml does not have."""
    known = ", ".join(entries[:10]) or "none"
    return f"{path} has no entry `{cloud}`{did_you_mean(cloud, entries)}. Use one of its entries: {known}"


def empty_entry(entry: str) -> str:
    """Return the error of an entry of clouds.yaml without content."""
    return f"{entry} is empty. Add `auth` to it"


def entry_cannot_sign_in(entry: str, why: str) -> str:
    """Return the error of an entry of clouds.yaml that openstacksdk refuses."""
    return f"{entry} does not say how to sign in: {why}. Correct the entry"


def entry_gives_no_token(entry: str) -> str:
    """Return the error of an entry of clouds.yaml whose way to sign in is not for CBR."""
    return f"the `auth_type` of {entry} gives no token. Use another `auth_type`, such as password"


def entry_has_no_region(entry: str, region: str, offered: Sequence[str]) -> str:
    """Return the error of a region that the entry of clouds.yaml does not list."""
    return f"{entry} has no region `{region}`{did_you_mean(region, offered)}. Use one of {', '.join(offered)}"


def unknown_key(key_origin: str, key: str, known: Iterable[str]) -> str:
    """Return the error of a setting or key that nothing reads."""
    return f"{key_origin} is unknown{did_you_mean(key, known)}. Correct the key"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a suggestion in brackets, or nothing if no known name is close."""
    # Not at the top: a program that only declares resources does not wait for it.
    import difflib

    by_lower = {entry.lower(): entry for entry in known}
    close = difflib.get_close_matches(name.lower(), sorted(by_lower), n=1, cutoff=0.6)
    return _suggestion(by_lower[close[0]] if close else None)


def _join_with_and(places: Sequence[str]) -> str:
    return places[0] if len(places) == 1 else f"{', '.join(places[:-1])} and {places[-1]}"


# Requests and responses

#: What to do about each of CBR's error codes.
ADVICE_BY_CODE: Mapping[str, str] = {
    "6105": "Check `vault_id`: it must be a vault of the receiver's own project",
    "6200": "Check the backup's ID, the region, and the project that you are signed in to",
    "6700": "Only backups of cloud servers can be shared here: share a server's backup",
    "6701": "The backup has as many members as it can have: delete a share first",
    "6702": "Wait until the backup's status is `available`, then run again",
    "6703": "Keep that share, or delete it before you share again",
    "6704": "Check the destination project's ID: it must be a project of the same region, and not your own",
    "6705": "Check both IDs. The share may have been deleted, or the owner may not have created it yet",
    "6706": "The service did not accept the status or the vault's ID: check `vault_id`",
    "6707": "Sharing is not allowed for this backup or account: ask the cloud's support to enable it",
    "6708": "Check the share's status, and whether the vault has room for the backup, then run again",
    "6709": "Backups of servers with encrypted disks cannot be shared here: share one of an unencrypted server",
    "6710": "The receiver made an image of it: have that image deleted, then run again",
    "6711": "The share was not deleted: run again, and ask the cloud's support if it stays",
    "6712": "Wait until the vault's status is `available`, or choose another vault",
    "6713": "Choose a vault whose type fits the backup (a server vault for a server's backup)",
    "6714": "Keep that share, or delete it before you share again",
    "8600": "The account lacks its real-name authentication: complete it in the cloud's console",
    "9900": "The service did not accept a value of the request: check the IDs",
    "9910": "Run again later, and give the request's ID to the cloud's support if it stays",
    "9998": "The service could not check the credentials: run again later, then check them",
}

#: What to do about the HTTP 403 of the API gateway, by the number after ``APIGW.``
ADVICE_BY_GATEWAY_CODE: Mapping[str, str] = {
    "0302": "Ask for access to the API: it is refused to the user",
    "0310": "The project is not available: check it, or choose another one",
    "0801": "Check the region, or choose another one: this one does not have the service",
    "0802": "Check the region, and ask for access to it: it is refused to the user",
}


def failed(operation: str, cause: str) -> str:
    """Return the error of an operation, with its cause and an action."""
    return f"{operation} failed: {cause}"


def refused(operation: str, said: str, *, code: str, status: int, request_id: str) -> str:
    """Return the error of an operation that the service refused, in the service's own words."""
    facts = [code, f"HTTP {status}", f"request {request_id}" if request_id else ""]
    cause = f"{said.rstrip('.') or 'refused without a reason'} ({', '.join(filter(None, facts))})"
    return failed(operation, cause)


def list_contradicts_count(entries: int, count: int) -> str:
    """Return the cause of a refused list that is shorter or longer than the service says."""
    return f"the list has {entries} entries, but its count is {count}"


def page_repeated() -> str:
    """Return the cause of a refused list whose pages repeat themselves."""
    return "the pages repeat themselves"


def not_a_cbr_response(why: str) -> str:
    """Return the cause of a refused response that CBR does not give."""
    return f"not a response of the CBR service ({why})"


def not_an_identity_response(why: str) -> str:
    """Return the cause of a refused response that no identity service gives."""
    return f"not a response of an identity service ({why})"


def not_a_service_catalog() -> str:
    """Return the cause of a refused sign-in whose service catalog cannot be read."""
    return "the service catalog is malformed"


def backup_exists(error: str, backup_id: str) -> str:
    """Return the cause of a refused "not found" of a backup that exists."""
    return f"{error.rstrip('.')}; but backup {backup_id} exists"


def backup_gone() -> str:
    """Return the cause of an error about a backup that was deleted."""
    return "the backup is gone"


def web_page(title: str) -> str:
    """Return the words for a web page that came as a response."""
    return f"a web page titled `{title}`" if title else "a web page"


def needs_permission(action: str) -> str:
    """Return the advice for a call that the user lacks a permission for."""
    return f"Ask for the IAM action {action}"


def gateway_refused(number: str) -> str:
    """Return the advice for an HTTP 403 of the API gateway, by the number of its code."""
    default = "The API gateway refused the call, not the service: run again later, then ask the cloud's support"
    return ADVICE_BY_GATEWAY_CODE.get(number, default)


def unknown_not_found(address: str) -> str:
    """Return the advice for an HTTP 404 that is not the service's own."""
    return f"This is not the service's own `not found`: check {address}, and the region"


def redirected(address: str) -> str:
    """Return the advice for a redirect, which could carry credentials elsewhere."""
    return f"Redirects are not followed with credentials: check {address}"


def url_rejected() -> str:
    """Return the advice for a gateway that reads an ID as malformed."""
    return "Check all IDs: the service reads one as malformed"


def try_later() -> str:
    """Return the advice for a service that fails or refuses for now."""
    return "Run again later"


def check_endpoint() -> str:
    """Return the advice for a response of another service."""
    return "Check the endpoint and the region"


def not_sent_in_time(operation: str) -> str:
    """Return the error of a call that had no time left before it was sent."""
    return f"{operation} failed: timed out before it was sent. Raise cbr:timeout or customTimeouts, then run again"


def no_response_in_time(operation: str) -> str:
    """Return the error of a call whose response did not come in time."""
    return f"{operation} failed: no response in time. Check the network, then run again"


def retry(reason: str, wait: float) -> str:
    """Return the log line of a wait before a retry."""
    return f"{_cause(reason)} Trying again in {wait:.1f} s"


def outage(reason: str, wait: float) -> str:
    """Return the warning at the start of an outage."""
    return f"{retry(reason, wait)}. Further waits are not shown"


def call(call: str, status: int, milliseconds: float, request_id: str) -> str:
    """Return the log line of a call."""
    return f"{call}: {status} in {milliseconds:.0f} ms (request {request_id})"


def invalid_project_list(value: str, limit: int) -> str:
    """Return the error of an argument that is no list of projects, or too long."""
    return f"dest_project_ids must be a list of 1 to {limit} project IDs, not {value}"


_CHECK_NETWORK = "Check the network, then run again"

_PROXY_ADVICE = "Set HTTPS_PROXY or HTTP_PROXY to http://user:password@host:port, or NO_PROXY for this host"


def proxy_denied(host: str) -> str:
    """Return the reason of a request that a proxy refused for its credentials."""
    return f"the proxy for {host} asks for a user and a password (HTTP 407). {_PROXY_ADVICE}"


def proxy_unreachable(host: str, cause: str) -> str:
    """Return the reason of a request that did not reach its proxy."""
    return f"the proxy for {host} cannot be reached ({cause}). {_PROXY_ADVICE}"


def certificate_not_trusted(host: str, reason: str, certificates: str) -> str:
    """Return the reason of a request to a host whose certificate does not verify."""
    return f"the certificate of {host} is not trusted ({reason}). Set the file of CA certificates by {certificates}"


def ca_bundle_missing(cause: str, certificates: str) -> str:
    """Return the reason of a request whose file of CA certificates is missing."""
    return f"no file of CA certificates ({cause}). Correct REQUESTS_CA_BUNDLE or {certificates}"


def host_not_found(host: str, cause: str, address: str) -> str:
    """Return the reason of a request to a host that has no address."""
    return f"cannot resolve {host} ({cause}). Check the region and the address ({address})"


def not_connected(host: str, cause: str, address: str) -> str:
    """Return the reason of a request to a host that does not take connections."""
    return f"no connection to {host} ({cause}). Check the network, the proxy and the address ({address})"


def malformed_url(host: str, address: str) -> str:
    """Return the reason of a request whose URL, or whose proxy's URL, is malformed."""
    return f"malformed URL of {host} or of its proxy. Check {address}, HTTPS_PROXY and HTTP_PROXY"


def request_not_possible(host: str, cause: str) -> str:
    """Return the reason of a request that cannot be written."""
    return f"no valid request to {host} ({cause}). Check the settings"


def response_timed_out(host: str) -> str:
    """Return the reason of a request whose response did not come in time."""
    return f"no response from {host} in time. {_CHECK_NETWORK}"


def connection_broke(host: str, cause: str) -> str:
    """Return the reason of a request whose connection broke."""
    return f"the connection to {host} broke ({cause}). {_CHECK_NETWORK}"


def unknown_result(error: str, read_error: str, advice: str = "Run again") -> str:
    """Return the error of a request whose result could not be read either."""
    return f"{_cause(error)} The result is unknown, and reading it failed: {_cause(read_error)} {advice}"


def unknown_after_error(operation: str, error: str) -> str:
    """Return the error of a request whose result is unknown and that cannot be sent again."""
    return f"{operation} failed: its result is unknown, and it could not be sent again: {error}"


def _cause(error: str) -> str:
    """Return an error as a sentence, without an action that another one replaces."""
    return _sentence(error.removesuffix(_CHECK_NETWORK).rstrip())


# Inputs


def wrong_id(name: str, form: str, value: str | None) -> str:
    """Return the error of an ID that is missing or malformed."""
    return f"{name} must be {form}; {_given(value)}"


def wrong_share_id(project: str, value: str, why: str) -> str:
    """Return the error of a resource's ID that is no pair of IDs."""
    return f"the ID must be <backup_id>/<{project}>, not {value!r}: {why}"


def wrong_project_list(value: str | None) -> str:
    """Return the problem of an input that is no list."""
    return f"must be a list of project IDs; {_given(value)}"


def wrong_project_count(count: int, limit: int) -> str:
    """Return the problem of a list with no project or too many."""
    return f"must have 1 to {limit} projects, not {count}"


def wrong_input(form: str, value: str) -> str:
    """Return the problem of an input of a wrong type or form."""
    return f"must be {form}, not {value}"


def own_project(project: str) -> str:
    """Return the problem of sharing a backup with its own project."""
    return f"{project} is the backup's own project. Name another project"


def resource_missing(id_: str) -> str:
    """Return the error of a read by an ID that no resource has."""
    return f"{id_} does not exist. Check the ID"


def _given(value: str | None) -> str:
    return "nothing was given" if value is None else f"not {value}"


# Preflight


def backup_missing(backup_id: str, project: str) -> str:
    """Return the problem of a backup that does not exist."""
    return f"backup {backup_id} does not exist in project {project}. Check its ID, the region and the project"


def preflight_failed(error: str) -> str:
    """Return the problem of a backup that preflight cannot read."""
    return f"preflight failed: {error}"


def backup_not_available(backup_id: str, status: str) -> str:
    """Return the problem of a backup that is in no state to be shared."""
    return f"backup {backup_id} has status `{status}`. Wait until its status is `available`, then run again"


def seldom_shared(backup_id: str, kind: str) -> str:
    """Return the problem of a backup of a kind that most regions do not share."""
    return f"backup {backup_id} is {kind}, which most regions do not share. If yours does, set cbr:preflight to false"


def too_many_planned(backup_id: str, planned: int, existing: int, limit: int) -> str:
    """Return the problem of a program that shares a backup with too many projects."""
    return (
        f"backup {backup_id} would be shared with {planned} projects ({existing} existing) and the limit is {limit}. "
        "Remove a project first"
    )


def declared_twice(backup_id: str, project: str) -> str:
    """Return the problem of a share that two resources declare."""
    return f"the share of backup {backup_id} with project {project} is declared twice. Remove one of the two"


# Shares

_ADOPT = "If no stack has it, set adopt_existing=True or `pulumi config set cbr:adoptExisting true`"
#: How many shares a message describes; it counts the others.
_MAX_DESCRIBED = 2


def share(project: str, share_id: str, status: str, age: str | None) -> str:
    """Return the description of an existing share.

    `age` is None if it is not known.
    """
    return f"project {project} (share {share_id}, {status}, {f'{age} old' if age else 'of unknown age'})"


def already_shared(backup_id: str, shares: Sequence[str]) -> str:
    """Return the error of a create for shares that exist and are not of this stack's state."""
    return (
        f"sharing backup {backup_id} failed: already shared with {_first(shares)}. If renamed, add an alias. {_ADOPT}"
    )


def already_held(backup_id: str, project: str, resource: str) -> str:
    """Return the error of a create for a share that another resource of this program has."""
    return (
        f"sharing backup {backup_id} with project {project} failed: {resource} of this program has that share. Remove one of the "
        "two resources"
    )


def already_shared_in_preflight(backup_id: str, shares: Sequence[str]) -> str:
    """Return the problem of a preview for shares that exist.

    In a forced replacement they may be the resource's own.
    """
    return (
        f"sharing backup {backup_id} failed: already shared with {_first(shares)}. If no stack manages it, set "
        "adopt_existing=True. For --replace or taint, add --refresh --run-program"
    )


def refused_beside_shares(error: str, shares: Sequence[str]) -> str:
    """Return the error of a refused create that may have made, or met, shares of its projects."""
    return f"{_sentence(error)} The backup is shared with {_first(shares)}. {_ADOPT}"


def too_many_members(backup_id: str, existing: int, new: int, limit: int) -> str:
    """Return the error of a change that would exceed the limit of members."""
    return (
        f"sharing backup {backup_id} failed: it would have {existing + new} members ({existing} existing, {new} new) and the "
        f"limit is {limit}. Nothing was changed. Remove a project first"
    )


def not_all_shared(backup_id: str, projects: Sequence[str]) -> str:
    """Return the error of a create that succeeded, but whose shares do not show up."""
    return (
        f"sharing backup {backup_id} with {_listed(projects)} failed: the service accepted the request, but does not show "
        f"{'the share' if len(projects) == 1 else 'all shares'}. {run_again_and_adopt()}"
    )


def not_shown_after(error: str, attempts: int) -> str:
    """Return the error of a create that no attempt could finish."""
    tries = f"{attempts} attempts" if attempts > 1 else "one attempt"
    return f"{_cause(error)} After {tries} the service shows no such share. {run_again_and_adopt()}"


def run_again_and_adopt() -> str:
    """Return how to go on if the share exists by the next run."""
    return "Run again; if it says `already shared`, run `pulumi config set cbr:adoptExisting true` first"


def existing_share_hidden(error: str) -> str:
    """Return the error of a share that exists, but is not shown."""
    return f"{_sentence(error)} The service does not show that share. Run again in a minute"


def members_keep_changing(backup_id: str) -> str:
    """Return the error of a create that finds other shares at each attempt."""
    return f"sharing backup {backup_id} failed: others change its shares at the same time. Run again in a minute"


def existing_share_unreadable(error: str, read_error: str) -> str:
    """Return the error of a share that exists, but cannot be read."""
    return f"{_sentence(error)} Reading that share failed: {_cause(read_error)} Run again"


def rolled_back(error: str, projects: Sequence[str], deleted: Sequence[str] = ()) -> str:
    """Return the error of a failed change whose new shares were deleted again."""
    before = f" {_deleted_before(deleted)}." if deleted else ""
    return f"{_sentence(error)}{before} Rolled back {_listed(projects)}. Fix the cause, then run again"


def not_rolled_back(
    error: str, projects: Sequence[str], rollback: str, *, deleted: Sequence[str] = (), rolled_back: Sequence[str] = ()
) -> str:
    """Return the error of a failed change whose new shares could not all be deleted again.

    `projects` are of those, `rolled_back` of the new shares that were deleted again.
    """
    before = f" {_deleted_before(deleted)}." if deleted else ""
    done = f" Rolled back {_listed(rolled_back)}." if rolled_back else ""
    failed = f"Rolling back {_listed(projects)} failed: {_sentence(rollback)}"
    return f"{_sentence(error)}{before}{done} {failed} {run_again_and_adopt()}"


def deleted_before(error: str, projects: Sequence[str]) -> str:
    """Return the error of a failed change that had deleted shares first."""
    return f"{_sentence(error)} {_deleted_before(projects)}. Fix the cause, then run again"


def also_deleted(error: str, projects: Sequence[str]) -> str:
    """Return the error of a change that had deleted shares first, and whose result is unknown."""
    return f"{_sentence(error)} {_deleted_before(projects)}"


def deleted_partly(error: str, projects: Sequence[str]) -> str:
    """Return the error of a set's delete that has deleted some of its shares."""
    return f"{_sentence(error)} Deleted: {_listed(projects)}. Run `pulumi refresh` before the next `pulumi up`"


def _deleted_before(projects: Sequence[str]) -> str:
    return f"Deleted before it: {_listed(projects)}"


def also_not_deleted(error: str, projects: Sequence[str]) -> str:
    """Return the error of several shares that could not be deleted."""
    return f"{_sentence(error)} Also not deleted: {_listed(projects)}"


def image_of_share(error: str, image_id: str) -> str:
    """Return the error of a share that an image holds."""
    return f"{_sentence(error)} The image is {image_id}"


def still_exists(verb: str, backup_id: str, project: str) -> str:
    """Return the error of a share that a delete or a rejection did not find, but a read does."""
    return (
        f"{verb} the share of backup {backup_id} with project {project} failed: the service said that it does not exist, "
        "but shows it. Run again"
    )


def accepted_meanwhile(backup_id: str, project: str) -> str:
    """Return the error of a rejected share that is not replaced, as it is accepted now."""
    return (
        f"creating the share of backup {backup_id} with project {project} again failed: its receiver has accepted it since the last "
        "refresh. Run `pulumi up --refresh`"
    )


def accepted_while_deleted(backup_id: str, project: str) -> str:
    """Return the error of an acceptance whose share another resource deletes."""
    return (
        f"accepting the share of backup {backup_id} with project {project} failed: another resource of this stack deletes the share. "
        "Add `depends_on` with that resource, then run again"
    )


def stays_rejected(backup_id: str, projects: Sequence[str]) -> str:
    """Return the warning about rejected shares that another resource has, too."""
    return (
        f"the shares of backup {backup_id} with {_listed(projects)} stay rejected: another resource of this stack has them too. "
        "Remove one of the two resources"
    )


def cannot_identify(backup_id: str, project: str, error: str) -> str:
    """Return the error of a delete whose share could not be compared with the state's."""
    return (
        f"deleting the share of backup {backup_id} with project {project} failed: its ID could not be checked. Nothing was "
        f"deleted: {error}"
    )


def contradictory(backup_id: str) -> str:
    """Return the error of a backup that is both found and not found."""
    return (
        f"reading the shares of backup {backup_id} failed: the service shows the backup, but not its members. The state is "
        "unchanged. Run again"
    )


def share_replaced(backup_id: str, project: str, share_id: str, new_id: str) -> str:
    """Return the warning of a refresh about a share that somebody else made again."""
    return (
        f"share {share_id} of backup {backup_id} with project {project} is gone: somebody made a new one, {new_id}. The next "
        "`pulumi up` adopts it only with adopt_existing=True"
    )


def share_not_deleted(backup_id: str, project: str, share_id: str, new_id: str) -> str:
    """Return the warning of a delete about a share that somebody else made again."""
    return (
        f"share {new_id} of backup {backup_id} with project {project} is not deleted: it is not share {share_id} of this "
        "stack. Delete it by hand if nobody needs it"
    )


def unverified_is_foreign(backup_id: str, project: str, share_id: str, created_at: str | None, sent_at: str) -> str:
    """Return the warning about a share that is not the result of a lost create.

    `created_at` is when it was created, or None if the service does not tell; `sent_at` is when the create was sent.
    """
    time = created_at or "an unknown time"
    return (
        f"share {share_id} of backup {backup_id} with project {project} stays: it is of {time}, and the unverified create of this "
        f"stack is of {sent_at}. Delete it by hand if nobody needs it"
    )


def adopted(backup_id: str, shares: Sequence[str]) -> str:
    """Return the line about shares that existed before a resource managed them."""
    return f"adopted unchanged: backup {backup_id} was already shared with {_first(shares)}"


def adopted_acceptance(backup_id: str, project: str, vault_id: str) -> str:
    """Return the line about an acceptance that existed before a resource managed it."""
    return f"adopted unchanged: project {project} had already accepted backup {backup_id} into vault {vault_id}"


def more_adopted(count: int) -> str:
    """Return the line in place of all lines about adoptions after the first `count`."""
    return f"more than {count} resources adopted what existed already: no line is shown for the others"


def managed_elsewhere(backup_id: str, projects: Sequence[str]) -> str:
    """Return the warning of a delete about shares that another resource of the stack has."""
    return f"backup {backup_id} stays shared with {_listed(projects)}: another resource of this stack has it now"


def drift(backup_id: str, project: str, changes: Sequence[tuple[str, object, object]]) -> str:
    """Return the warning about others' changes of a share.

    Each change has a name, the value before and the value now.
    """
    listed = "; ".join(f"{name} is {now}, not {before}" for name, before, now in changes)
    return f"the share of backup {backup_id} with project {project} has changed: {listed}"


def rejected(backup_id: str, project: str) -> str:
    """Return the warning about a share that its receiver rejected."""
    return (
        f"the share of backup {backup_id} with project {project} is rejected by its receiver. Set reshare_if_rejected=True "
        "to share again, or remove it from the program"
    )


def exclusive_deletes(backup_id: str, projects: Sequence[str]) -> str:
    """Return the warning about others' shares that an exclusive set deletes."""
    return f"backup {backup_id}: exclusive=True deletes the shares with {_listed(projects)}"


def other_source_project(source: str, signed_in: str) -> str:
    """Return the error of a run that is signed in to another project than the owner's."""
    return _signed_in_elsewhere(f"the share belongs to project {source}", signed_in)


def other_endpoint(backup_id: str, made_at: str, here: str) -> str:
    """Return the error of a missing backup whose share was made at another CBR address."""
    return (
        f"backup {backup_id} was shared at {made_at}, and {here} does not have it. Nothing was changed. "
        f"Set the region or cbr:endpoint back, {use_of_changed_settings()}"
    )


def other_receiver(receiver: str, signed_in: str) -> str:
    """Return the error of a run that is signed in to another project than the receiver's."""
    return _signed_in_elsewhere(f"the ID names project {receiver}", signed_in)


def _signed_in_elsewhere(what: str, signed_in: str) -> str:
    return (
        f"{what}, but this run is signed in to {signed_in}. Nothing was changed. Sign in to the first one (OS_*, cbr:cloud or `cloud`), "
        f"{use_of_changed_settings()}"
    )


def use_of_changed_settings() -> str:
    """Return what to run after a change of settings, which the engine keeps until an `up`."""
    return "then run `pulumi up` (or refresh or destroy with --run-program)"


def age(seconds: float) -> str:
    """Return an age in its largest unit, such as ``3 days``."""
    whole = max(0, int(seconds))
    count, unit = next(
        ((whole // size, unit) for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")) if whole >= size),
        (whole, "second"),
    )
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _first(descriptions: Sequence[str]) -> str:
    more = len(descriptions) - _MAX_DESCRIBED
    return ", ".join(descriptions[:_MAX_DESCRIBED]) + (f" and {more} more" if more > 0 else "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted(names))


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


# Acceptances and owners


def not_shared_yet(backup_id: str, project: str, wait: float) -> str:
    """Return the warning that an acceptance waits for its share."""
    return retry(f"backup {backup_id} is not shared with project {project} yet", wait)


def not_shared(backup_id: str, project: str) -> str:
    """Return the error of an acceptance whose share does not exist."""
    return (
        f"accepting failed: backup {backup_id} is not shared with project {project}. Have its owner share it "
        "(if this program shares it, add depends_on), or remove this resource"
    )


def own_backup(backup_id: str, project: str) -> str:
    """Return the error of an acceptance by the project that owns the backup."""
    return (
        f"accepting failed: backup {backup_id} belongs to project {project}, and this run is signed in to that project. "
        "Sign in to the receiving project"
    )


def accepted_into_other_vault(backup_id: str, vault_id: str, wanted: str) -> str:
    """Return the error of an acceptance of a share that is accepted into another vault."""
    return (
        f"accepting failed: backup {backup_id} was accepted into vault {vault_id} already, not {wanted}. "
        "Set vault_id to the former"
    )


def no_acceptance_to_import(backup_id: str, project: str) -> str:
    """Return the error of the import of a share that is in no vault."""
    return (
        f"importing failed: the share of backup {backup_id} with project {project} is in no vault. "
        "Declare it, then run `pulumi up` to accept it"
    )


def deleted_by_another(backup_id: str, project: str) -> str:
    """Return the error of a resource whose share another one of the same stack has deleted."""
    return (
        f"keeping the share of backup {backup_id} with project {project} failed: another resource of this stack deletes it in "
        "this operation. Run `pulumi up --refresh`"
    )


def adopted_while_deleted(backup_id: str, project: str) -> str:
    """Return the error of an adoption of a share that another resource of the stack deletes."""
    return (
        f"adopting the share of backup {backup_id} with project {project} failed: another resource of this stack deletes it in "
        "this operation. Run `pulumi up` again"
    )


def acceptance_kept(backup_id: str, project: str) -> str:
    """Return the error of a delete whose share a resource of the stack has accepted."""
    return (
        f"deleting the share of backup {backup_id} with project {project} failed: a BackupShareAccepter of this stack keeps "
        "its acceptance. Remove it too, or let it depend on the share (depends_on)"
    )


def acceptance_ends(backup_id: str, project: str) -> str:
    """Return the warning about an acceptance whose share leaves the program."""
    return (
        f"deleting the share of backup {backup_id} with project {project} ends its acceptance, which a BackupShareAccepter of this "
        "stack keeps. Remove it too, or run `pulumi up --refresh`: a plain `up` does not notice"
    )


def share_gone(backup_id: str, project: str) -> str:
    """Return the warning about a share that somebody deleted."""
    return f"the share of backup {backup_id} with project {project} no longer exists"


def acceptance_of_earlier_share(backup_id: str, project: str) -> str:
    """Return the warning about an acceptance that ended with an earlier share."""
    return (
        f"the share of backup {backup_id} with project {project} is newer than its acceptance, which a BackupShareAccepter of this "
        "stack keeps. Run `pulumi up --refresh`"
    )


def held_twice(backup_id: str, project: str, resources: Sequence[str], *, is_acceptance: bool) -> str:
    """Return the warning about two resources that have one share, or one acceptance."""
    what = f"acceptance of backup {backup_id} in" if is_acceptance else f"share of backup {backup_id} with"
    end = "undoes" if is_acceptance else "deletes"
    return (
        f"{' and '.join(resources)} have one {what} project {project}. Remove one of them in a full `pulumi up`: with --target, "
        f"deleting one {end} it for both"
    )


def acceptance_managed_elsewhere(backup_id: str, project: str) -> str:
    """Return the warning about an acceptance that another resource of the stack has."""
    return f"backup {backup_id} stays accepted in project {project}: another resource of this stack has it now"


def accepted_elsewhere(backup_id: str, project: str, vault_id: str, own_vault_id: str) -> str:
    """Return the warning about a share that is accepted into another vault."""
    return (
        f"the share of backup {backup_id} with project {project} is not rejected: it is accepted into vault {vault_id}, not "
        f"{own_vault_id}. Reject it by hand if nobody needs it"
    )


def pending_not_rejected(backup_id: str, project: str) -> str:
    """Return the warning of a delete about a share that its owner has made again since."""
    return (
        f"the share of backup {backup_id} with project {project} is not rejected: it is pending, so this stack has not "
        "accepted it. Reject it by hand if nobody needs it"
    )


def claim_not_recorded(reason: str) -> str:
    """Return the warning that other processes of the operation cannot read a claim."""
    return (
        f"recording which resource manages a share failed: {reason}. Set XDG_RUNTIME_DIR to a folder that only you can "
        "write before you move shares between providers"
    )


def claims_unreadable(reason: str) -> str:
    """Return the error of a delete if another resource may have the share."""
    return (
        f"deleting failed: the record of which resource manages a share cannot be read ({reason}). Nothing was changed. Set "
        "XDG_RUNTIME_DIR to a folder that only you can write, then run again"
    )


# Waiting for acceptance


def waits_for_acceptance(backup_id: str, projects: Sequence[str], seconds: float) -> str:
    """Return the line that announces a wait."""
    return f"waiting up to {seconds:g} s until backup {backup_id} is accepted by {_listed(projects)}"


def not_accepted_in_time(backup_id: str, projects: Sequence[str], seconds: float) -> str:
    """Return the error for receivers that did not decide in time."""
    return (
        f"waiting for acceptance failed: backup {backup_id} is still pending with {_listed(projects)} after {seconds:g} s; "
        "the share stays. Ask the receiver to accept it, then run pulumi up again"
    )


def rejected_while_waiting(backup_id: str, projects: Sequence[str]) -> str:
    """Return the error for receivers that rejected."""
    return (
        f"waiting for acceptance failed: backup {backup_id} was rejected by {_listed(projects)}; the share stays. "
        "Set reshare_if_rejected=True to share it again"
    )


def share_gone_while_waiting(backup_id: str, projects: Sequence[str]) -> str:
    """Return the error for shares that somebody deleted meanwhile."""
    return (
        f"waiting for acceptance failed: the share of backup {backup_id} with {_listed(projects)} was deleted meanwhile. "
        "Run pulumi up --refresh"
    )


def acceptance_unknown(backup_id: str, error: str) -> str:
    """Return the error for a wait whose reads failed."""
    return f"waiting for acceptance of backup {backup_id} failed; the share stays: {error}"


def not_in_the_state() -> str:
    """Return the advice for a share that the SDK cannot keep in the state."""
    return "The state does not have it: run once more with `pulumi config set cbr:adoptExisting true`"


# Doctor


def doctor_failed(count: int) -> str:
    """Return the last line of a doctor's run in which checks failed."""
    return f"{_counted(count, 'check')} failed: see above"


def doctor_permissions_missing(count: int) -> str:
    """Return the last line of a doctor's run that found missing permissions."""
    return f"Nothing failed; {_counted(count, 'permission')} {'is' if count == 1 else 'are'} missing: see the notes."


def doctor_contradictions() -> str:
    """Return the last line of a doctor's run that found two values of one setting."""
    return "Nothing failed; two places contradict each other: see the notes."


def doctor_succeeded() -> str:
    """Return the last line of a doctor's run in which all checks passed."""
    return "All checks passed."


def openstacksdk_missing() -> str:
    """Return the finding about a missing package that `cloud` needs."""
    return "openstacksdk is not installed"


def install_openstacksdk() -> str:
    """Return the advice for a missing package that `cloud` needs."""
    return "To use `cloud`: pip install 'pulumi-cbr[clouds]'"


def pulumi_not_on_path() -> str:
    """Return the finding about a machine without the Pulumi CLI."""
    return "`pulumi` is not on PATH"


def install_pulumi() -> str:
    """Return the advice for a machine without the Pulumi CLI."""
    return "Install the Pulumi CLI, or run `make engine` in a clone."


def pulumi_broken(path: str, error: str) -> str:
    """Return the finding about a Pulumi CLI that does not start."""
    return f"{path} does not run: {error}"


def reinstall_pulumi() -> str:
    """Return the advice for a Pulumi CLI that does not start."""
    return "Install the Pulumi CLI again."


def plugin_not_on_path(name: str, purpose: str) -> str:
    """Return the finding about a program that the engine needs."""
    return f"{name}, which {purpose}, is not on PATH"


def activate_environment() -> str:
    """Return the advice for a first-class provider that is not on PATH."""
    return "Activate the virtual environment."


def add_pulumi_folder() -> str:
    """Return the advice for a program of the Pulumi CLI that is not on PATH."""
    return "It comes with the Pulumi CLI: put the folder that has `pulumi` on PATH."


def configuration_not_read(reason: str) -> str:
    """Return the finding about a stack whose configuration cannot be read."""
    return f"its configuration was not read: {reason}"


def no_configuration(reason: str) -> str:
    """Return the finding about a folder without a stack, or without the one that is named."""
    return f"no configuration of a stack was read: {reason}"


def run_in_project_folder() -> str:
    """Return the advice for a folder that is no Pulumi project."""
    return "Run this in the folder of a Pulumi project to check its stack's `cbr:*` settings too."


def configuration_read(count: int) -> str:
    """Return the finding about a stack whose configuration was read."""
    return f"its configuration has {_counted(count, 'setting')} cbr:*"


def value_found(name: str, value: str, origin: str) -> str:
    """Return the finding about a value, and where it was found."""
    return f"{name} = {value}, from {origin}"


def value_not_used(found: str, reason: str) -> str:
    """Return the finding about a value that is not used."""
    return f"{found}, is not used: {reason}"


def cloud_of_option(cloud: str) -> str:
    """Return the finding about a cloud that the command line names."""
    return f"cloud = {cloud}, from --cloud: only its entry of clouds.yaml is used"


def contradiction(first: str, second: str, name: str) -> str:
    """Return the finding about two values of one setting."""
    return f"{first} and {second} contradict each other on {name}"


def unset_one(name: str) -> str:
    """Return the advice for two values of one setting."""
    return f"Unset one of them, or give both the same {name}."


def project_has_other_name(project: str, actual: str, name: str) -> str:
    """Return the finding about a project whose name is not the one of the settings."""
    return f"project {project} is `{actual}`, not `{name}`"


def correct_or_remove(place: str) -> str:
    """Return the advice for a wrong value."""
    return f"Correct or remove {place}."


def signed_in(method: str, project: str, name: str | None, region: str | None) -> str:
    """Return the finding about a sign-in that works."""
    return f"with {method}, to project {project}{f' ({name})' if name else ''}{f', region {region}' if region else ''}"


def permitted(call: str, action: str) -> str:
    """Return the finding about a call that is allowed."""
    return f"may {call} ({action})"


def not_permitted(call: str, error: str) -> str:
    """Return the finding about a call that is not allowed."""
    return f"may not {call}: {error}"


def refused_with(status: int, request_id: str) -> str:
    """Return the words for the response to a call that is not allowed."""
    return f"HTTP {status}{f', request {request_id}' if request_id else ''}"


def permission_needed_for(purpose: str, action: str | None = None) -> str:
    """Return the advice for a call that is not allowed.

    `action` is the permission, if it is known.
    """
    return f"{f'{needs_permission(action)}. ' if action else ''}It is needed for {purpose}."


# Bugs


def bug(kind: str, file: str) -> str:
    """Return the error of a bug in this package, with the file that has its traceback."""
    return (
        f"this is a bug in pulumi-cbr ({kind}). The result is unknown. "
        f"Please report it with the file {file} (which names backups and projects, but no credentials)"
    )


def bug_without_file(kind: str, reason: str, error: str, trace: str) -> str:
    """Return the error of a bug in this package, if its traceback could not be written."""
    return (
        f"this is a bug in pulumi-cbr ({kind}). The result is unknown. No file could be written ({reason}): please report "
        f"it with this line. {error} in {trace}"
    )


# Commands

#: Why the state or the configuration of a stack cannot be read.
PULUMI_WAS_SILENT = "pulumi printed no error"
NO_JSON = "pulumi printed no JSON object"
NO_STATE = "the export is not a stack's state"

#: Why a share cannot be adopted.
LEFT_OUT_MANAGED = "managed"
LEFT_OUT_NOT_ACCEPTED = "not accepted"
LEFT_OUT_NO_VAULT = "in no known vault"


def share_count(count: int) -> str:
    """Return the line for a number of shares."""
    return _counted(count, "share")


def wrong_age(text: str) -> str:
    """Return the error for an age that cannot be read."""
    return f"not an age: {text!r}. Write a number and a unit, such as 90m, 12h, 30d or 8w"


def wrong_sort(key: str, keys: Iterable[str]) -> str:
    """Return the error for a key that shares cannot be sorted by."""
    return f"not a sort key: {key!r}. Use {', '.join(keys)}, each with :asc or :desc"


def wrong_column(name: str, names: Iterable[str]) -> str:
    """Return the error for a column that there is not."""
    return f"not a column: {name!r}. Use {', '.join(names)}"


def option_needs_stack(option: str) -> str:
    """Return the error for an option that compares with stacks, without one."""
    return f"{option} compares with stacks. Name them with --stack"


def stack_unreadable(stack: str, reason: str) -> str:
    """Return the error for the state of a stack that cannot be read."""
    return f"reading stack {stack} failed: {reason}. `pulumi stack ls --all` lists all, `pulumi stack init` creates one"


def stack_without_pulumi(stack: str) -> str:
    """Return the error for a stack that is to be read on a machine without the Pulumi CLI."""
    return f"reading stack {stack} failed: `pulumi` is not on PATH. Install the Pulumi CLI, or add its folder to PATH"


def stack_without_folder(stack: str, folder: str) -> str:
    """Return the error for a stack that is to be read in a folder that does not exist."""
    return f"reading stack {stack} failed: there is no folder {folder}. Check --cwd"


def cloud_failed(cloud: str, error: str) -> str:
    """Return the error for an error of one of several clouds."""
    return f"cloud {cloud!r}: {error}"


def interrupted() -> str:
    """Return the line for a command that the user ended."""
    return "interrupted. Nothing was changed"


def shares_summary(shares: int, backups: int, projects: int, statuses: Mapping[str, int]) -> str:
    """Return the line for a list: its shares, backups, projects and statuses."""
    text = f"{_counted(shares, 'share')} of {_counted(backups, 'backup')}, {_counted(projects, 'other project')}"
    return text + (f": {', '.join(f'{number} {status}' for status, number in statuses.items())}" if statuses else "")


def shares_in_stacks(unmanaged: int, several: int) -> str:
    """Return the end of the line for shares that no resource manages, or more than one does."""
    return f"; {unmanaged} unmanaged" + (f", {several} managed more than once" if several else "")


def listing_progress(done: int, total: int) -> str:
    """Return the line for a list that is not complete."""
    return f"{done} of {_counted(total, 'backup')}"


def no_shares(received: bool, filtered: bool) -> str:
    """Return the line for a list without a share."""
    what = "nothing is shared with this project" if received else "no backup of this project is shared"
    return f"0 shares: {'none matches the filters' if filtered else what}"


def hidden_columns(names: Sequence[str], width: int) -> str:
    """Return the line for columns that a terminal has no room for."""
    return f"Not shown in {width} columns: {', '.join(names)}. Choose with --columns, or use --json"


def adopts_without_stack() -> str:
    """Return the line for an adoption that no stack was compared with."""
    return "No --stack was compared: shares that a stack manages already are included"


def members_are_secret(urn: str) -> str:
    """Return the error for a set whose members the state has as a secret."""
    return f"reading {urn} failed: its members are a secret. Leave its stack out"


def import_of_several_clouds() -> str:
    """Return the error for an import file for shares of more than one cloud."""
    return "--adopt import writes one file for one cloud: an import has no `cloud`. Give one --cloud at a time"


def file_unwritable(file: str, reason: str) -> str:
    """Return the error for a file that cannot be written."""
    return f"writing {file} failed: {reason}. Choose another file"


def next_step_of_import() -> str:
    """Return the line after a file for `pulumi import`."""
    return "Next: save this as FILE, run `pulumi import --file FILE`, and add the program that it prints to yours"


def next_step_of_program() -> str:
    """Return the line after a program that adopts shares."""
    return "Next: add this to the stack's program, run `pulumi up`, then remove adopt_existing"


def adoption_summary(count: int, left_out: Mapping[str, int]) -> str:
    """Return the line for an adoption: its shares, and those that are left out."""
    reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
    return f"{_counted(count, 'share')} to adopt" + (f"; left out: {reasons}" if reasons else "")


# Look-ups


def sort_given_twice() -> str:
    """Return the error for two orders of a list of backups."""
    return "get_backups takes sort or newest_first, not both. Remove one of the two"


def wrong_limit(value: str) -> str:
    """Return the error for a limit of a list of backups."""
    return f"get_backups takes a limit of 0 or more, not {value}"


def vault_needs_id_or_name() -> str:
    """Return the error for a vault that is looked up by nothing, or by two things."""
    return "get_vault needs either vault_id or name. Set exactly one"


def no_single_vault(name: str, ids: Sequence[str]) -> str:
    """Return the error for a vault's name that none has, or several have."""
    if not ids:
        return f"no vault of this project has the name {name!r:.80}. Check the name and the project"
    return f"{len(ids)} vaults have the name {name!r:.80}: {', '.join(ids[:5])}. Use vault_id instead"


# Components


def window_needs_backups() -> str:
    """Return the error for a window of no server and no vault."""
    return "NewestBackupShares needs servers (a list of IDs), or vault_id, or both"


def window_needs_limit() -> str:
    """Return the error for a window without an end."""
    return "NewestBackupShares needs count or max_age, or both"


def wrong_window_count(count: object) -> str:
    """Return the error for a count that is not a whole number from 1 on."""
    return f"NewestBackupShares: count must be a whole number from 1 on, not {count!r:.40}"


def empty_window_value(name: str) -> str:
    """Return the error of an empty ID, by which the backups of any server would be looked for."""
    return f"NewestBackupShares failed: {name} has an empty ID. Check where the program reads it from"


def filter_ignored(wanted: str, backup_id: str, found: str) -> str:
    """Return the error of a backup of another server or vault than was asked for."""
    return (
        f"NewestBackupShares failed: the service listed backup {backup_id} of {found} among those of {wanted}. Share each backup "
        "by a BackupShare"
    )


def left_out(backup_id: str, vault_id: str, count: int) -> str:
    """Return the warning about shares in another vault, which a component leaves out."""
    return (
        f"AcceptPendingShares leaves out {_counted(count, 'share')} in another vault than {vault_id}, such as that of backup "
        f"{backup_id}. If this component accepted it, the `up` rejects it: set vault_id back"
    )


def backup_without_owner(backup_id: str) -> str:
    """Return the error of a shared backup whose owner the service does not tell."""
    return (
        f"AcceptPendingShares failed: the service does not tell the owner of backup {backup_id}. Accept it by a "
        "BackupShareAccepter"
    )


def wrong_max_age(max_age: object) -> str:
    """Return the error for an age that cannot be read."""
    return f"NewestBackupShares: max_age must be seconds above 0, or a text such as 14d or 36h, not {max_age!r:.40}"


def window_accepts_for_one_project() -> str:
    """Return the error for a vault that would have to accept for several projects."""
    return "NewestBackupShares: accept_into is one project's vault, so dest_project_ids must have exactly one"


def window_without_backups(server: str | None, vault_id: str | None) -> str:
    """Return the error for a server or vault without a backup: its ID may be mistyped."""
    return f"NewestBackupShares: {server or vault_id} has no backup. Nothing was changed. Check servers and vault_id"


def backup_without_time(backup_id: str) -> str:
    """Return the error for a backup of unknown age in a window that is limited by age."""
    return (
        f"NewestBackupShares: the service does not tell when backup {backup_id} was made. Nothing was changed. Limit the window "
        "by count instead of max_age"
    )


def component_needs_plain_values(component: str, argument: str) -> str:
    """Return the error for an output of a resource where a component needs a plain value."""
    return f"{component}: {argument} must be plain text, not an output of a resource. Take it from the configuration"


def status_filter_ignored(backup_id: str) -> str:
    """Return the error for a service that lists a share as accepted and as pending."""
    return (
        f"listing shared backups failed: backup {backup_id} is listed as accepted and as pending. "
        "Declare a BackupShareAccepter for each backup"
    )


def accepter_needs_owners() -> str:
    """Return the error for an acceptance of shares of nobody."""
    return "AcceptPendingShares needs source_project_ids: a list of the owners' project IDs"


# The first-class provider


def unknown_setting(name: str, closest: str | None) -> str:
    """Return the error of a setting that does not exist."""
    return f"unknown setting cbr:{name}{_suggestion(closest and f'cbr:{closest}')}. Remove or rename it"


def invalid_parallel(value: object) -> str:
    """Return the error of a number of calls at once that is out of range."""
    return f"cbr:parallel must be a whole number from 1 to 256, not {value!r}"


def unknown_property(name: str, closest: str | None) -> str:
    """Return the error of an input that the resource does not have."""
    return f"unknown property {name}{_suggestion(closest)}"


def unknown_argument(function: str, name: str, closest: str | None) -> str:
    """Return the error of an argument that the function does not have."""
    return f"{function} failed: unknown argument {name}{_suggestion(closest)}"


def missing_argument(function: str, name: str) -> str:
    """Return the error of a call without an argument that the function requires."""
    return f"{function} failed: {name} is missing. Set it"


def invalid_argument_type(function: str, name: str, kind: str, value: object) -> str:
    """Return the error of an argument of the wrong type."""
    return f"{function} failed: {name} must be of type {kind}, not {value!r}"


def unknown_token(kind: str, token: str, closest: str | None) -> str:
    """Return the error of a resource or a function that the package does not have."""
    return f"unknown {kind} {token}{_suggestion(closest)}. Check that program and provider have the same version"


def method_not_supported(method: str) -> str:
    """Return the error of a request that this provider does not serve."""
    return f"{method} is not supported by this provider"


def wait_cancelled() -> str:
    """Return the error of a wait that the engine has ended."""
    return "cancelled while waiting to try again. Run again to finish"


def custom_timeout_exceeded() -> str:
    """Return the error of a resource whose own time has ended."""
    return "timed out (customTimeouts). Run again, or give the resource more time"


def lookup_unknown(function: str) -> str:
    """Return the error of a plain look-up whose values a preview does not know."""
    return (
        f"{function} is not known in this preview, as its arguments or its provider's settings are not. "
        f"Use {function}_output"
    )


def mock_without_result(function: str, token: str) -> str:
    """Return the error of a look-up that a test's mock answered with nothing."""
    return f"{function} failed: the mock returned nothing. Let Mocks.call return the result of {token}"


def result_incomplete(kind: str, missing: Sequence[str]) -> str:
    """Return the error of a test's mock that left out required fields of an object."""
    is_missing, it = ("is", "it") if len(missing) == 1 else ("are", "them")
    return f"reading a {kind} failed: {_join_with_and(missing)} {is_missing} missing. Add {it} to the mock"


def run_again_to_verify() -> str:
    """Return the advice for a create with an unknown result: the next run verifies it."""
    return "Run `pulumi up` again: it finds out"


def provider_moves(provider: str, changes: str) -> str:
    """Return the warning that a provider will sign in elsewhere than its resources were made."""
    return (
        f"Provider {provider!r} changes {changes}: refresh and destroy of its existing resources will fail. "
        "Declare a second Provider for another project or region"
    )


def component_preview_unknown(component: str, arguments: list[str]) -> str:
    """Return the warning that a preview cannot look up the backups of a component."""
    return (
        f"{component}: this preview does not know {' and '.join(arguments)} yet. It shows no shares of the component, and "
        "existing ones as deleted. `pulumi up` creates the right shares"
    )


def component_inputs_unknown(component: str, arguments: list[str]) -> str:
    """Return the error of a component that needs the output of a resource that was not made."""
    return (
        f"{component} failed: {' and '.join(arguments)} is not known, because another resource failed or was left out. Nothing "
        "was changed. Run `pulumi up` without `--target` again"
    )


def component_not_finished(component: str, name: str) -> str:
    """Return the error of a component whose operation ended before it was complete."""
    return (
        f"{component} {name!r} failed: the operation ended before it was complete. See the other errors, then run again"
    )


def _suggestion(closest: str | None) -> str:
    return f" (did you mean {closest}?)" if closest else ""


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
