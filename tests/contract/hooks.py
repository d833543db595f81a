"""What Schemathesis has to be told of the Campaigns API beyond openapi.yaml."""

import itertools

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

schemathesis.serializer.alias(["application/x-ndjson", "text/csv"], "text/plain")

# What development mode makes and the document's examples name.
SAMPLES = {"segment_id": "seg_abc123", "list_id": "lst_abc123", "template_id": "tpl_abc123"}

numbers = itertools.count(1)
cursors = {}  # the last that each listing gave, by its path
etags = {}  # the last of each campaign, by its id
contacts = []  # one that stays


@schemathesis.hook
def before_call(_, case, **kwargs):
    """Put what a client would send in place of what no schema can describe.

    What breaks its schema on purpose is left as it is.
    """
    header_of_coverage(case)
    if not case.meta.is_negative_at(ParameterLocation.QUERY):
        own_cursor(case)
    if not case.meta.is_negative_at(ParameterLocation.HEADER):
        own_headers(case)
    if not case.meta.is_negative_at(ParameterLocation.BODY):
        own_contact(case)
        own_audience(case)
    keep_samples(case)


def header_of_coverage(case):
    """The coverage phase makes only letters and digits in headers. Where a
    pattern asks for more, it sends "0" and calls that valid."""
    for name in ("If-Match", "Content-Digest"):
        if case.headers and case.headers.get(name) == "0":
            del case.headers[name]


def own_cursor(case):
    """A cursor is opaque and sealed, an invented one is 400: one that the
    listing gave is taken, or none."""
    if case.query and "cursor" in case.query:
        del case.query["cursor"]
        if case.formatted_path in cursors:
            case.query["cursor"] = cursors[case.formatted_path]


def own_headers(case):
    """With the document's sample of an Idempotency-Key on all calls, every call
    but the first would be a repeat. If-Match has the ETag that the campaign was
    last seen with."""
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f"contract-{next(numbers)}"
    seen = etags.get((case.path_parameters or {}).get("id"))
    if case.headers and "If-Match" in case.headers and seen:
        case.headers["If-Match"] = seen


def own_contact(case):
    """No two contacts have the same addresses, and only who exists can be put
    into a list."""
    operation, body = operation_id(case), case.body
    if operation == "createContact" and isinstance(body, dict):
        n = next(numbers)
        own = {"external_id": f"customer-{n}", "phone": f"+4915112{n:06}", "email": f"customer-{n}@example.com"}
        case.body = {name: own.get(name, value) for name, value in body.items()}
    if operation == "addListContacts" and isinstance(body, dict) and contacts:
        case.body = {**body, "contact_ids": contacts}


def own_audience(case):
    """A campaign can be sent if somebody is in its audience, which hardly happens
    with an invented list or rule: it goes to those of development mode. One that
    is made on a walk has what it needs, so that the walk can go on."""
    if operation_id(case) not in ("createCampaign", "updateCampaign") or not isinstance(case.body, dict):
        return
    case.body = {name: SAMPLES.get(name, value) if value else value for name, value in case.body.items()}
    if operation_id(case) == "createCampaign" and case.meta.phase.name is TestPhase.STATEFUL:
        own = {name: case.body[name] for name in ("scheduled_at", "throttle", "metadata") if name in case.body}
        case.body = {**own, "name": "Spring Promo 2026", "channel": "sms", "segment_id": "seg_abc123", "body": "Hi {{first_name}}"}


def keep_samples(case):
    """The samples stay, and so does the contact that is put into lists: nothing
    else would come of them after their first deletion."""
    kept = [*SAMPLES.values(), *contacts]
    if operation_id(case).startswith("delete") and (case.path_parameters or {}).get("id") in kept:
        case.path_parameters["id"] += "_other"


@schemathesis.hook
def after_call(_, case, response):
    """Remember what the server gave."""
    if "etag" in response.headers and "2" == str(response.status_code)[0]:
        etags[response.json()["data"]["id"]] = response.headers["etag"][0]
    if response.status_code == 201 and operation_id(case) == "createContact" and not contacts:
        contacts.append(response.json()["data"]["id"])
    if response.status_code == 200 and case.method == "GET":
        cursor = response.json()["meta"].get("pagination", {}).get("cursor")
        if cursor:
            cursors[case.formatted_path] = cursor


@schemathesis.hook
def filter_failure(_, failure, case, response):
    """A file is text: a body "of the wrong type", such as {}, is a line of NDJSON."""
    wrong_type = operation_id(case) == "createImport" and not isinstance(case.body, str)
    return not (wrong_type and isinstance(failure, AcceptedNegativeData))


def operation_id(case):
    return case.operation.definition.raw["operationId"]
