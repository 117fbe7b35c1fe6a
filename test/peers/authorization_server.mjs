// An OAuth 2.0 server of others' making (npm oidc-provider) with the API that its tokens open.
//
//     node authorization_server.mjs MODULES
//
// Prints its port.  Tokens live 3 s; every 0.7 s the latest one of each client is revoked, too.
// GET /_counts says what was answered so far.
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const { default: Provider } = await import(pathToFileURL(`${process.argv[2]}/oidc-provider/lib/index.js`));
const SECRET = 'canary: secret+%&';
const counts = { issued: 0, revoked: 0, rejected: 0, unavailable: 0 };
const latest = new Map();
let isDown = false;

function client(id, method) {
	return { client_id: id, client_secret: SECRET, grant_types: ['client_credentials'], redirect_uris: [],
		response_types: [], token_endpoint_auth_method: method, scope: 'read' };
}

const server = http.createServer();
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(url, {
	clients: [client('the basic one', 'client_secret_basic'), client('the other one', 'client_secret_post')],
	features: { clientCredentials: { enabled: true }, revocation: { enabled: true }, devInteractions: { enabled: false } },
	scopes: ['read', 'write'],
	ttl: { ClientCredentials: 3 },
});
provider.on('client_credentials.saved', token => {
	counts.issued++;
	latest.set(token.clientId, token.jti);
});
provider.on('grant.error', () => counts.rejected++);

// RFC 7009, as the client itself would.
async function revoke(clientId, token) {
	const form = new URLSearchParams({ token });
	const headers = {};
	if (clientId === 'the basic one') {
		const pair = [clientId, SECRET].map(part => new URLSearchParams({ x: part }).toString().slice(2)).join(':');
		headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
	} else {
		form.set('client_id', clientId);
		form.set('client_secret', SECRET);
	}
	const answer = await fetch(`${url}/token/revocation`, { method: 'POST', headers, body: form });
	if (!answer.ok) throw new Error(`revocation: ${answer.status} ${await answer.text()}`);
	counts.revoked++;
}

setInterval(() => {
	for (const [clientId, token] of latest) {
		latest.delete(clientId);
		revoke(clientId, token);
	}
}, 700);

async function serveApi(request, response) {
	const [, value] = (request.headers.authorization || '').match(/^Bearer (.+)$/) || [];
	const token = value && await provider.ClientCredentials.find(value);
	const status = token && token.isValid ? 200 : 401;
	counts[status] = (counts[status] || 0) + 1;
	response.writeHead(status, status === 401 ? { 'WWW-Authenticate': 'Bearer error="invalid_token"' } : {});
	response.end('{}');
}

const serveProvider = provider.callback();
server.on('request', (request, response) => {
	request.url.startsWith('/_') || request.url.startsWith('/api/') ? request.resume() : null;
	if (request.url === '/_counts') {
		response.end(JSON.stringify(counts));
	} else if (request.url.startsWith('/_down')) {
		isDown = request.url.endsWith('1');
		response.end();
	} else if (request.url.startsWith('/api/')) {
		serveApi(request, response);
	} else if (isDown && request.url === '/token') {
		counts.unavailable++;
		response.writeHead(503).end();
	} else {
		serveProvider(request, response);
	}
});
console.log(server.address().port);
setTimeout(() => process.exit(1), 300000);
