"""The part of the configuration that carries orders, absences and requests."""

# ruff: noqa: E501 - TOML that people read in a file of its own

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from moatbridge.demo.servers import Erp, MastodonServer, Receiver, SshServer

SECRETS: Final = (
    "erp-password",
    "town-token",
    "files-key",
    "events-key",
    "product-key",
)

TEXT: Final = """
# --- orders: out as posts, back as decisions ---------------------------------------

[systems.erp]
adapter = "soap"
wsdl = "erp.wsdl"
endpoint = "{erp}"
allow_networks = ["127.0.0.0/8"]
auth = {{ kind = "wsse-digest", username = "{erp_user}", password = "file:erp-password" }}

[streams."erp/orders"]
key = ["orderNr"]
version = "version"
modified = "changed"
[streams."erp/orders".list]
operation = "ListOrders"
items = "ListOrdersResponse/orders/order"
request = {{ cursor = "{{page.cursor}}", max = "{{page.size}}" }}
page = {{ kind = "cursor", size = 100, next = "ListOrdersResponse/nextCursor" }}
[streams."erp/orders".changes]
operation = "ListOrders"
items = "ListOrdersResponse/orders/order"
request = {{ since = "{{since}}", cursor = "{{page.cursor}}", max = "{{page.size}}" }}
page = {{ kind = "cursor", size = 100, next = "ListOrdersResponse/nextCursor" }}
since = {{ as_of = "ListOrdersResponse/asOf" }}
[streams."erp/orders".get]
operation = "GetOrder"
item = "GetOrderResponse/order"
request = {{ orderNr = "{{ref.orderNr}}" }}
rules = [{{ fault = "OrderFault", path = "code", equals = "NOT_FOUND", then = "absent" }}]

[streams."erp/orders".translator]
entity = "Post"
[streams."erp/orders".translator.fields]
audience = {{ const = {{ kind = "org" }} }}
"business.type" = {{ const = "org.example.erp.order" }}
"business.id" = "orderNr"
"business.state" = "status"
"business.data.total" = "total"
[streams."erp/orders".translator.fields.content]
template = '''
Order {{orderNr}}: {{title}}
{{lines}}
Total {{total|money}} {{currency}}
State: {{status}} {{decidedBy?}}'''
[streams."erp/orders".translator.fields.content.blocks.lines]
each = "line"
template = "{{quantity}} x {{article}} at {{unitPrice|money}}"
most = 5
more = "... and {{count}} more"

[streams."erp/decisions"]
key = ["decisionId"]
[streams."erp/decisions".create]
operation = "DecideOrder"
result = "DecideOrderResponse/decisionId"
idempotency = {{ path = "requestId" }}
rules = [       # the ERP answered no, and that is final
  {{ fault = "OrderFault", path = "code", equals = "NOT_AUTHORISED", then = "forbidden" }},
  {{ fault = "OrderFault", path = "code", equals = "ALREADY_DECIDED", then = "conflict" }},
  {{ fault = "OrderFault", path = "code", equals = "CONFLICT", then = "conflict" }},
  {{ fault = "OrderFault", then = "rejected" }},
]
[streams."erp/decisions".create.request]
orderNr = "{{record.orderNr}}"
decision = "{{record.decision}}"
comment = "{{record.comment}}"
approver = "{{record.approver}}"
requestId = "{{key}}"
expectedVersion = "{{record.expectedVersion}}"    # the order as its post showed it

[streams."erp/decisions".translator]
entity = "Decision"
[streams."erp/decisions".translator.fields]
type = {{ from = "decision", lookup = {{ approve = "Accept", reject = "Reject" }} }}
identity = "approver"
object = {{ ref = "erp/orders", from = "orderNr" }}
version = "expectedVersion"
content = "comment"

[systems.town]          # the company's own, closed instance
adapter = "mastodon"
base_url = "{town}"
insecure_cleartext = true
allow_networks = ["127.0.0.0/8"]
auth = {{ kind = "bearer", token = "file:town-token" }}
followers_are_org = true
exposure = "internal"
max_label = "internal"

[streams."town/posts"]
[streams."town/mentions"]
[streams."town/accounts"]

[flows.orders]
from = "erp/orders"
to = "town/posts"
every = "5s"
deletes = "remove"
i_know = "deletes are final"

[flows.decisions]
from = "town/mentions"
to = "erp/decisions"
every = "5s"
[flows.decisions.decide]
posts = "orders"
words = {{ approve = "Accept", approved = "Accept", reject = "Reject" }}
people = "directory/people"
account = "uid"
identity = "employeeNumber"
allowed = {{ field = "employeeType", one_of = ["approver"] }}
answers = "town/posts"

# --- absences: a nightly file becomes signed events --------------------------------

[systems.files]
adapter = "sftp"
url = "{files}"
host_keys = ["{host_key}"]
max_label = "confidential"
allow_networks = ["127.0.0.0/8"]
auth = {{ key = "file:files-key" }}

[streams."files/absences"]
folder = "absences"
files = "ABSENCES_*.csv"
content = "delta"
order_matters = false
on_bad_file = "quarantine"
ripe = "atomic"
key = ["ID"]
format = "csv"
csv = {{ delimiter = ";" }}
controls = {{ trailer = '^TRL;(?P<count>\\d+);(?P<sum_DAYS>\\d+)$' }}
[streams."files/absences".fields]
ID = "text"
LOGIN = "text"
NAME = "text"
FIRST = {{ type = "date", pattern = "DD.MM.YYYY" }}
LAST = {{ type = "date", pattern = "DD.MM.YYYY" }}
DAYS = "integer"

[streams."files/absences".translator]
entity = "Post"
[streams."files/absences".translator.fields]
content = {{ template = "{{NAME}} is away from {{FIRST|day}} to {{LAST|day}}." }}
audience = {{ const = {{ kind = "org" }} }}
"business.type" = {{ const = "org.example.hr.absence" }}
"business.id" = "ID"
"business.data.days" = "DAYS"

[systems.events]
adapter = "webhook"
base_url = "{events}"
insecure_cleartext = true
allow_networks = ["127.0.0.0/8"]
signing_keys = ["file:events-key"]
key_ttl = 86400
exposure = "internal"

[streams."events/absences"]
entity = "Post"
type = "org.example.absence"

[flows.absences]
from = "files/absences"
to = "events/absences"
every = "5s"

# --- requests: events from the product become files for payroll --------------------

[gateway]
public_url = "http://127.0.0.1:{gateway}"
[gateway.inbox.product]

[systems.product]
adapter = "webhook"
verify = "standard-webhooks"
secrets = ["file:product-key"]

[streams."product/requests"]
entity = "Person"
key = ["id"]
[streams."product/requests".fields]
id = "data.id"
login = "data.login"
phone = "data.phone"

[streams."product/requests".translator]
entity = "Person"
[streams."product/requests".translator.fields]
"userName" = "login"
"phoneNumbers[type=mobile].value" = "phone"

[streams."files/payroll"]
folder = "payroll"
publish = true
content = "delta"
key = ["LOGIN"]
format = "csv"
[streams."files/payroll".fields]
LOGIN = "text"
PHONE = "text"

[streams."files/payroll".translator]
entity = "Person"
[streams."files/payroll".translator.fields]
"userName" = "LOGIN"
"phoneNumbers[type=mobile].value" = "PHONE"

[flows.requests]
from = "product/requests"
to = "files/payroll"
every = "5s"
"""


def content(
    folder: Path,
    erp: Erp,
    town: MastodonServer,
    files: SshServer,
    events: Receiver,
    *,
    gateway: int,
    product_key: str,
) -> tuple[str, dict[str, str]]:
    """The text, and the secrets it names; copies the WSDL beside it.

    Args:
        folder: Where the configuration lies.
        erp: Purchase orders.
        town: The Mastodon-shaped platform.
        files: Drop folders.
        events: The webhook receiver.
        gateway: Port that ``moatbridge serve`` will listen on.
        product_key: What the social product signs its events with.
    """
    shutil.copy(erp.wsdl_file(), folder / "erp.wsdl")
    text = TEXT.format(
        erp=erp.endpoint(),
        erp_user=erp.username,
        town=town.url,
        files=files.url,
        host_key=files.fingerprint,
        events=events.url,
        gateway=gateway,
    )
    values = (erp.password, town.token, files.key, events.secret, product_key)
    return text, dict(zip(SECRETS, values, strict=True))
