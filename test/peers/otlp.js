// Reads what a collector was sent with the generated protobuf classes, which take no unknown name, no wrong type.
//
//     node otlp.js DIRECTORY
//
// Prints how many batches of each signal it read.  They lack eventName and a span's flags, and have ids as bytes.
'use strict';
const fs = require('fs');
const path = require('path');
const directory = path.dirname(require.resolve('@opentelemetry/otlp-transformer/package.json'));
const root = require(path.join(directory, 'build/src/generated/root.js'));
const collector = root.opentelemetry.proto.collector;

const CLASSES = {
  traces: collector.trace.v1.ExportTraceServiceRequest,
  metrics: collector.metrics.v1.ExportMetricsServiceRequest,
  logs: collector.logs.v1.ExportLogsServiceRequest,
};
const IDS = new Set(['traceId', 'spanId', 'parentSpanId']);
const UNKNOWN = new Set(['eventName', 'flags']);

// As the classes have it: ids as base64, what they don't know left out by name, never by chance.
function adapted(value) {
  if (Array.isArray(value)) return value.map(adapted);
  if (value === null || typeof value !== 'object') return value;
  const members = Object.entries(value).filter(([name]) => !UNKNOWN.has(name));
  return Object.fromEntries(members.map(([name, member]) =>
    [name, IDS.has(name) ? Buffer.from(member, 'hex').toString('base64') : adapted(member)]));
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

function check(signal, line) {
  const given = adapted(JSON.parse(line));
  const message = CLASSES[signal].fromObject(given);
  const bytes = CLASSES[signal].encode(message).finish();
  const read = CLASSES[signal].toObject(CLASSES[signal].decode(bytes), { longs: String, bytes: String, json: true });
  const [wanted, got] = [given, read].map((value) => JSON.stringify(sorted(value)));
  if (wanted !== got) throw new Error(`${signal}: ${wanted.slice(0, 1500)}\nis read as ${got.slice(0, 1500)}`);
}

for (const signal of Object.keys(CLASSES)) {
  const lines = fs.readFileSync(path.join(process.argv[2], signal), 'utf8').trim().split('\n');
  lines.forEach((line) => check(signal, line));
  console.log(`${signal} ${lines.length}`);
}
