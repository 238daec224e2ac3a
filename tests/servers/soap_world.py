"""The ERP's purchase orders and decisions as streams, in every flavour."""

from __future__ import annotations

from pydantic import SecretStr

from moatbridge.testing import net
from moatbridge_soap import SoapAdapter, SoapConfig, SoapStreamConfig

NOT_FOUND = {
    "fault": "OrderFault",
    "path": "code",
    "equals": "NOT_FOUND",
    "then": "absent",
}
STALE = {"fault": "OrderFault", "path": "code", "equals": "CONFLICT", "then": "stale"}
TAKEN = {
    "fault": "OrderFault",
    "path": "code",
    "equals": "CONFLICT",
    "then": "duplicate",
}
CLOSED = {
    "fault": "OrderFault",
    "path": "code",
    "equals": "ALREADY_DECIDED",
    "then": "rejected",
}


class Shape:
    """How one flavour wraps its messages."""

    def __init__(self, flavour="erp"):
        self.rpc = flavour in {"erp-rpc", "erp-encoded"}
        self.items = "orders/item" if flavour == "erp-encoded" else "orders/order"

    def asked(self, request):
        return {"request": request} if self.rpc else request

    def told(self, operation, path):
        inner = f"return/{path}" if self.rpc else path
        return f"{operation}Response/{inner}"

    def input(self, path):
        return f"request/{path}" if self.rpc else path


def orders(flavour="erp", *, size=5, **more):
    """The stream of purchase orders."""
    shape = Shape(flavour)
    told, asked = shape.told, shape.asked
    page = {"kind": "cursor", "size": size, "next": told("ListOrders", "nextCursor")}
    walk = {"cursor": "{page.cursor}", "max": "{page.size}"}
    items = told("ListOrders", shape.items)
    tables = {
        "list": {
            "operation": "ListOrders",
            "items": items,
            "request": asked(walk),
            "page": page,
        },
        "changes": {
            "operation": "ListOrders",
            "items": items,
            "request": asked({"since": "{since}", **walk}),
            "page": page,
            "since": {"as_of": told("ListOrders", "asOf"), "overlap": "1m"},
            "deleted": {"path": "status", "equals": "cancelled"},
        },
        "get": {
            "operation": "GetOrder",
            "item": told("GetOrder", "order"),
            "request": asked({"orderNr": "{ref.orderNr}"}),
            "rules": [
                NOT_FOUND,
                {
                    "result": told("GetOrder", "order/status"),
                    "equals": "cancelled",
                    "then": "absent",
                },
            ],
        },
        "create": {
            "operation": "CreateOrder",
            "request": asked({"order": "{record}"}),
            "idempotency": {"path": shape.input("requestId")},
            "result": told("CreateOrder", "orderNr"),
            "result_version": told("CreateOrder", "version"),
            "rules": [TAKEN],
        },
        "update": {
            "operation": "UpdateOrder",
            "request": asked({"order": "{record}", "expectedVersion": "{version}"}),
            "result_version": told("UpdateOrder", "version"),
            "rules": [NOT_FOUND, STALE, CLOSED],
        },
        "delete": {
            "operation": "CancelOrder",
            "request": asked({"orderNr": "{ref.orderNr}"}),
            "rules": [NOT_FOUND, CLOSED],
        },
    }
    only = {"status": ["draft", "submitted", "approved", "rejected"]}
    base = {
        "key": ["orderNr"],
        "version": "version",
        "modified": "changed",
        "only": only,
    }
    return SoapStreamConfig(**(base | tables | more))


def decisions(**more):
    """The stream of decisions: what the platform answers is written back here."""
    page = {"kind": "cursor", "size": 5, "next": "ListDecisionsResponse/nextCursor"}
    tables = {
        "list": {
            "operation": "ListDecisions",
            "items": "ListDecisionsResponse/decision",
            "request": {"cursor": "{page.cursor}", "max": "{page.size}"},
            "page": page,
        },
        "create": {
            "operation": "DecideOrder",
            "request": {
                "orderNr": "{record.orderNr}",
                "decision": "{record.decision}",
                "comment": "{record.comment}",
                "approver": "{record.approver}",
            },
            "idempotency": {"path": "requestId"},
            "result": "DecideOrderResponse/decisionId",
            "rules": [
                CLOSED,
                {
                    "fault": "OrderFault",
                    "path": "code",
                    "equals": "NOT_AUTHORISED",
                    "then": "rejected",
                },
            ],
        },
    }
    return SoapStreamConfig(**({"key": ["decisionId"]} | tables | more))


def system(erp, flavour="erp", *, endpoint=None, password=None, **more):
    """The ERP as a system."""
    url = erp.endpoint(flavour)
    if endpoint is not None:
        url = f"http://{endpoint[0]}:{endpoint[1]}/{flavour}"
    secret = SecretStr(password or erp.password)
    auth = {"kind": "wsse-digest", "username": erp.username, "password": secret}
    settings = {"wsdl": str(erp.wsdl_file(flavour)), "endpoint": url, "auth": auth}
    return SoapConfig(**(settings | more))


def adapter(config, streams):
    """An adapter that is not open, with a net for exactly its endpoints."""
    made = SoapAdapter(config, streams)
    made.net = net(SoapAdapter.endpoints(config))
    return made


def _desk_rule(code, then):
    return {"fault": "DeskFault", "path": "code", "equals": code, "then": then}


def people(*, size=5, **more):
    """The desk's people: offset paging, partial updates, removed keys apart."""
    unknown = _desk_rule("UNKNOWN", "absent")
    tables = {
        "list": {
            "operation": "SearchPeople",
            "items": "SearchPeopleResponse/person",
            "request": {"offset": "{page.offset}", "max": "{page.size}"},
            "page": {
                "kind": "offset",
                "size": size,
                "total": "SearchPeopleResponse/total",
            },
        },
        "get": {
            "operation": "ReadPerson",
            "item": "ReadPersonResponse/person",
            "request": {"nr": "{ref.nr}"},
            "rules": [unknown],
        },
        "find": {
            "operation": "FindPeople",
            "items": "FindPeopleResponse/person",
            "request": {"login": "{query.login}"},
        },
        "changes": {
            "operation": "ChangedPeople",
            "items": "ChangedPeopleResponse/person",
            "request": {"since": "{since}"},
            "since": {"overlap": "1m"},
        },
        "deletes": {
            "operation": "RemovedPeople",
            "items": "RemovedPeopleResponse/person",
            "request": {"since": "{since}"},
        },
        "create": {
            "operation": "AddPerson",
            "request": {"person": "{record}"},
            "rules": [_desk_rule("EXISTS", "duplicate")],
            "result_version": "AddPersonResponse/version",
        },
        "update": {
            "operation": "ChangePerson",
            "mode": "partial",
            "request": {
                "person": {
                    "nr": "{ref.nr}",
                    "login": "{record.login}",
                    "mail": "{record.mail}",
                    "phone": "{record.phone}",
                    "@vip": "{record.@vip}",
                },
                "expectedVersion": "{version}",
            },
            "rules": [unknown, _desk_rule("STALE", "stale")],
            "result_version": "ChangePersonResponse/version",
        },
        "delete": {
            "operation": "RemovePerson",
            "request": {"nr": "{ref.nr}"},
            "rules": [unknown],
        },
    }
    base = {"key": ["nr"], "name": "login", "version": "version", "modified": "changed"}
    return SoapStreamConfig(**(base | tables | more))


def desk(server, *, endpoint=None, password=None, **more):
    """The desk as a system."""
    host, port = endpoint or ("127.0.0.1", server.port)
    secret = SecretStr(password or server.password)
    auth = {"kind": "wsse-text", "username": server.username, "password": secret}
    ping = {"operation": "SearchPeople", "request": {"offset": 0, "max": 1}}
    settings = {"wsdl": str(server.wsdl), "endpoint": f"http://{host}:{port}/desk"}
    return SoapConfig(**(settings | {"auth": auth, "ping": ping} | more))
