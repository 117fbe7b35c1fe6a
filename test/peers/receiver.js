// Verifies what it gets by others' code: npm standardwebhooks, node's own crypto.
//
//     node receiver.js SECRET [PUBLIC_KEY_BASE64]
//
// Prints its port. Answers 200 "v1 v1a rfc9421", whichever is right, or 401.
const crypto = require('crypto');
const http = require('http');
const { Webhook } = require('standardwebhooks');

const [secret, publicKey] = process.argv.slice(2);

function ed25519(content, signature) {
	const prefix = Buffer.from('302a300506032b6570032100', 'hex');
	const key = crypto.createPublicKey({
		key: Buffer.concat([prefix, Buffer.from(publicKey, 'base64')]), format: 'der', type: 'spki' });
	return crypto.verify(null, Buffer.from(content), key, Buffer.from(signature, 'base64'));
}

function isV1(headers, body) {
	try {
		new Webhook(secret).verify(body, headers);
		return true;
	} catch (error) {
		return false;
	}
}

function isV1a(headers, body) {
	const content = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
	return (headers['webhook-signature'] || '').split(' ')
		.filter(signature => signature.startsWith('v1a,'))
		.some(signature => ed25519(content, signature.slice(4)));
}

// RFC 9421 §3.2, for the components that the request names.
function isRfc9421(request, body) {
	const headers = request.headers;
	const digest = `sha-256=:${crypto.createHash('sha256').update(body).digest('base64')}:`;
	if (!headers['signature-input'] || headers['content-digest'] !== digest) {
		return false;
	}
	const url = new URL(request.url, 'http://x');
	const known = {
		'@method': request.method, '@authority': headers.host.toLowerCase(), '@path': url.pathname,
		'@query': url.search, 'content-digest': digest };
	const parameters = headers['signature-input'].split(/, (?=sig)/);
	const signatures = headers.signature.split(/, (?=sig)/);
	return parameters.some((input, i) => {
		const value = input.slice(input.indexOf('=') + 1);
		const names = value.slice(1, value.indexOf(')')).match(/[^ "]+/g);
		const base = names.map(name => `"${name}": ${known[name]}\n`).join('') + `"@signature-params": ${value}`;
		const signature = signatures[i].slice(signatures[i].indexOf(':') + 1, -1);
		if (value.includes('alg="ed25519"')) {
			return ed25519(base, signature);
		}
		const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
		return crypto.createHmac('sha256', key).update(base).digest('base64') === signature;
	});
}

const server = http.createServer((request, response) => {
	const pieces = [];
	request.on('data', piece => pieces.push(piece));
	request.on('end', () => {
		const body = Buffer.concat(pieces).toString();
		const right = [];
		if (isV1(request.headers, body)) right.push('v1');
		if (isV1a(request.headers, body)) right.push('v1a');
		if (isRfc9421(request, body)) right.push('rfc9421');
		response.writeHead(right.length ? 200 : 401);
		response.end(right.join(' '));
	});
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
setTimeout(() => process.exit(1), 1200000);
