// A help desk's people on node-soap: offset paging with a total, partial updates, batches, a list of removed keys.
// argv: modules folder, own folder, user, password. Prints its port. /control takes JSON from the tests.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const crypto = require('crypto');
const [modules, folder, user, password] = process.argv.slice(2);
const soap = require(path.join(modules, 'soap'));

const people = new Map();
const removed = [];
let clock = Date.now();
const now = () => { clock = Math.max(clock + 1, Date.now()); return new Date(clock).toISOString(); };

function fault(code) {
  throw { Fault: { faultcode: 'soap:Client', faultstring: 'refused', detail: { DeskFault: { code } }, statusCode: 500 } };
}

const isNil = (value) => value !== null && typeof value === 'object' && value.attributes && Object.keys(value.attributes).some((n) => n.endsWith('nil'));
const found = (nr) => people.get(Number(nr)) || fault('UNKNOWN');
const nil = () => ({ attributes: { 'xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance', 'xsi:nil': 'true' } });

function store(one) {
  one.version = (one.version || 0) + 1;
  one.changed = now();
  people.set(one.nr, one);
  return { nr: one.nr, version: one.version };
}

function add(person) {
  const { attributes, version, changed, ...rest } = person;
  const one = { ...rest, nr: Number(rest.nr), vip: attributes && String(attributes.vip) === 'true' };
  for (const name of Object.keys(one)) if (isNil(one[name]) || one[name] === null) delete one[name];
  if (!one.login || !one.nr) fault('INVALID');
  if (people.has(one.nr)) fault('EXISTS');
  return store(one);
}

function shown(one) {
  return { attributes: { vip: one.vip }, nr: one.nr, login: one.login, mail: one.mail === undefined ? nil() : one.mail, phone: one.phone || [], changed: one.changed, version: one.version };
}

function remove(nr) {
  if (people.delete(Number(nr))) removed.push({ nr: Number(nr), at: now() });
}

const sorted = () => [...people.values()].sort((a, b) => a.nr - b.nr);
const list = (value) => (value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]);
const time = (value) => (value instanceof Date ? value.toISOString() : String(value || ''));

const port = {
  SearchPeople: ({ offset, max }) => ({ total: people.size, person: sorted().slice(Number(offset), Number(offset) + Number(max)).map(shown) }),
  ReadPerson: ({ nr }) => ({ person: shown(found(nr)) }),
  ReadPeople: ({ nr }) => ({ person: list(nr).map((one) => people.get(Number(one))).filter(Boolean).reverse().map(shown) }),
  FindPeople: ({ login }) => ({ person: sorted().filter((p) => p.login.startsWith(login)).map(shown) }),
  AddPerson: ({ person }) => add(person),
  AddPeople: ({ person }) => ({
    line: list(person).reverse().map((one) => {
      try { return { nr: Number(one.nr), status: 'OK', version: add(one).version }; } catch (e) { return { nr: Number(one.nr), status: e.Fault.detail.DeskFault.code, version: 0 }; }
    }).filter((line) => line.nr % 1000 !== 999),
  }),
  ChangePerson({ person, expectedVersion }) {
    const one = found(person.nr);
    if (expectedVersion !== undefined && expectedVersion !== null && Number(expectedVersion) !== one.version) fault('STALE');
    const { attributes, nr, ...rest } = person;
    for (const [name, value] of Object.entries(rest)) { if (isNil(value) || value === null) delete one[name]; else one[name] = value; }
    if (attributes && attributes.vip !== undefined) one.vip = String(attributes.vip) === 'true';
    return store(one);
  },
  RemovePerson({ nr }) { found(nr); remove(nr); return { nr: Number(nr), version: 0 }; },
  ChangedPeople: ({ since }) => ({ person: sorted().filter((p) => p.changed >= time(since)).map(shown) }),
  RemovedPeople: ({ since }) => ({ person: removed.filter((r) => r.at >= time(since) && !people.has(r.nr)).map(({ nr }) => ({ nr })) }),
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

const control = {
  seed: (records) => records.map((r) => add({ ...r, attributes: { vip: r.vip } })),
  all: () => sorted().map((p) => ({ nr: p.nr, login: p.login })),
  remove: (logins) => { for (const p of sorted()) if (logins.includes(p.login)) remove(p.nr); return null; },
  edit: ([login, mail]) => { for (const p of sorted()) if (p.login === login) { p.mail = mail; store(p); } return null; },
  forget: () => { removed.length = 0; return null; },
};

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const name = request.url.split('/')[2];
    if (request.url.startsWith('/control/') && control[name]) return response.end(JSON.stringify(control[name](JSON.parse(Buffer.concat(parts).toString() || 'null'))));
    response.statusCode = 404;
    return response.end();
  });
});
const wsdl = fs.readFileSync(path.join(folder, 'desk.wsdl'), 'utf8');
server.listen(0, '127.0.0.1', () => {
  const served = soap.listen(server, { path: '/desk', handleNilAsNull: true, services: { Desk: { Desk: port } }, xml: wsdl });
  served.authenticate = authenticate;
  served.wsdl.options.preserveWhitespace = true; // else it cuts blanks off values and tells nobody
  process.stdout.write(`${server.address().port}\n`);
});
