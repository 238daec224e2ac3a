<?php
// One purchase-order service in four flavours: /erp (document/literal, SOAP 1.1), /erp12 (SOAP 1.2), /erp-rpc (rpc/literal), /erp-encoded (rpc/encoded).
declare(strict_types=1);
require __DIR__ . '/store.php';
require __DIR__ . '/security.php';
require __DIR__ . '/orders.php';

$flavour = ltrim((string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH), '/');
$home = getenv('ERP_HOME');
$file = "$home/$flavour.wsdl";
if (!in_array($flavour, ['erp', 'erp12', 'erp-rpc', 'erp-encoded'], true)) {
    http_response_code(404);
    return;
}
if ($_SERVER['REQUEST_METHOD'] === 'GET') {
    header('Content-Type: text/xml; charset=utf-8');
    readfile($file);
    return;
}
$version = $flavour === 'erp12' ? SOAP_1_2 : SOAP_1_1;
$server = new SoapServer($file, ['soap_version' => $version, 'features' => SOAP_SINGLE_ELEMENT_ARRAYS]);
$raw = file_get_contents('php://input');
$store = new Store("$home/erp.db");
$server->setObject(new Orders($store, new Security($store), $raw, $flavour === 'erp-encoded'));
$server->handle($raw);
