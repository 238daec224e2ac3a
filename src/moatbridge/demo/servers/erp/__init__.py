"""An ERP with purchase orders: PHP's own SOAP server over SQLite."""

from moatbridge.demo.servers.erp.orders import Approver, Line, Order
from moatbridge.demo.servers.erp.server import Erp
from moatbridge.demo.servers.erp.wsdl import Flavour

__all__ = ["Approver", "Erp", "Flavour", "Line", "Order"]
