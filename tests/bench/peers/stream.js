// Server-sent events from Node's http: node stream.js PORT FILE. Ten updates a second of the file's bytes go
// to every listener, encoded once; each begins with the time in microseconds.
const body = require('node:fs').readFileSync(process.argv[3]);
const listeners = new Set();
require('node:http').createServer((request, answer) => {
  answer.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  answer.write('retry: 500\n\n');
  listeners.add(answer);
  answer.on('close', () => listeners.delete(answer));
}).listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
setInterval(() => {
  const now = process.hrtime.bigint() / 1000n;
  const update = Buffer.from(`event: table\ndata: {"at_us":${now},"table":${body}}\n\n`);
  for (const answer of listeners) answer.write(update);
}, 100);
