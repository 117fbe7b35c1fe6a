// Parses what it gets by npm cloudevents, whatever its mode.
//
//     node events.js
//
// Prints its port. Answers 200 with what it understood as JSON, or 400 with why not.
const http = require('http');
const { HTTP } = require('cloudevents');

// HTTP binding §3.1.3.2; npm cloudevents leaves it to its caller.
function decoded(headers) {
	return Object.fromEntries(Object.entries(headers).map(([name, value]) =>
		[name, name.startsWith('ce-') ? decodeURIComponent(value) : value]));
}

function understood(headers, body) {
	const parsed = HTTP.toEvent({ headers: decoded(headers), body });
	const list = Array.isArray(parsed) ? parsed : [parsed];
	list.forEach(event => event.validate());
	return { batch: Array.isArray(parsed), count: list.length, event: list[0].toJSON() };
}

const server = http.createServer((request, response) => {
	const chunks = [];
	request.on('data', chunk => chunks.push(chunk));
	request.on('end', () => {
		try {
			const answer = understood(request.headers, Buffer.concat(chunks).toString());
			response.writeHead(200, { 'Content-Type': 'application/json' });
			response.end(JSON.stringify(answer));
		} catch (error) {
			response.writeHead(400, { 'Content-Type': 'text/plain' });
			response.end(String(error));
		}
	});
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
