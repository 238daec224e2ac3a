// An HR service on node-soap: employees with attributes, a choice and xsd:any; absences with plain dates.
// argv: modules folder, WSDL folder, user, password. Prints its port. /hr speaks SOAP 1.1, /hr12 SOAP 1.2.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const crypto = require('crypto');
const [modules, folder, user, password] = process.argv.slice(2);
const soap = require(path.join(modules, 'soap'));

const absences = new Map();
const pad = (n, size) => String(n).padStart(size, '0');

function employee(n) {
  const one = {
    attributes: { grade: `${n % 7}.5` },
    persNr: n,
    name: { attributes: { lang: n % 2 ? 'de' : 'ja' }, first: n % 2 ? 'Jörg <A&B>' : '太郎', last: `Nr ${n}` },
  };
  if (n % 3 === 0) one.attributes.vip = n % 2 === 0;
  if (n % 4) one.email = n % 4 === 1 ? { attributes: { 'xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance', 'xsi:nil': 'true' } } : `u${n}@hr.example`;
  one.phone = Array.from({ length: n % 3 }, (_, i) => ({ attributes: { kind: i ? 'home' : 'work' }, $value: `+49 ${n}-${i}` }));
  one.hired = `20${pad(n % 25, 2)}-0${1 + (n % 9)}-15`;
  one.changed = `2026-03-01T08:${pad(n % 60, 2)}:00`; // no zone: an ordinary bad habit
  if (n % 5) one.manager = n % 5;
  else one.board = true;
  one['x:badge'] = { attributes: { 'xmlns:x': 'urn:example:badge' }, $value: `B-${n}` };
  return one;
}

const all = Array.from({ length: 30 }, (_, n) => employee(n + 1));

function fault(code, text) {
  throw { Fault: { faultcode: 'soap:Client', faultstring: text, Code: { Value: 'soap:Sender' }, Reason: { Text: text }, detail: { HRFault: { code, detailText: text } }, statusCode: 500 } };
}

const port = {
  ListEmployees({ offset, max }) {
    return { total: all.length, employee: all.slice(Number(offset), Number(offset) + Number(max)) };
  },
  GetEmployee({ persNr }) {
    return all[persNr - 1] ? { employee: all[persNr - 1] } : fault('NOT_FOUND', `no employee of that number`);
  },
  ListAbsences() {
    return { absence: [...absences.values()], asOf: '2026-03-01T12:00:00Z' };
  },
  EnterAbsence({ absence }) {
    if (absences.has(absence.absenceId)) fault('DUPLICATE', 'that absence exists');
    const { attributes, ...rest } = absence;
    // node-soap turns xsd:date into a Date at midnight UTC; a calendar day has no zone.
    for (const name of ['from', 'until']) if (rest[name] instanceof Date) rest[name] = rest[name].toISOString().slice(0, 10);
    if (rest.entered instanceof Date) rest.entered = rest.entered.toISOString();
    absences.set(absence.absenceId, { attributes: { approved: attributes?.approved ?? false }, ...rest });
    return { absenceId: absence.absenceId };
  },
};

function authenticate(security) {
  const token = security && security.UsernameToken;
  if (!token || token.Username !== user) return false;
  const given = token.Password && token.Password.$value ? token.Password.$value : token.Password;
  const type = (token.Password && token.Password.attributes && token.Password.attributes.Type) || '';
  if (!type.endsWith('#PasswordDigest')) return given === password;
  const nonce = Buffer.from(token.Nonce.$value || token.Nonce, 'base64');
  const created = token.Created instanceof Date ? token.Created.toISOString().replace('.000', '') : token.Created;
  return given === crypto.createHash('sha1').update(nonce).update(created).update(password).digest('base64');
}

const wsdl = fs.readFileSync(path.join(folder, 'hr.wsdl'), 'utf8');
const server = http.createServer((_, response) => { response.statusCode = 404; response.end(); });
server.listen(0, '127.0.0.1', () => {
  const services = () => ({ HR: { HR: port } });
  const serve = (where, options) => { soap.listen(server, { path: where, services: services(), xml: wsdl, ...options }).authenticate = authenticate; };
  serve('/hr', {});
  serve('/hr12', { forceSoap12Headers: true });
  process.stdout.write(`${server.address().port}\n`);
});
