// The table as Fastify serves prepared bytes: node fastify.js PORT FILE, with fastify where NODE_PATH says.
const body = require('node:fs').readFileSync(process.argv[3]);
const app = require('fastify')();
app.get('/api/v1/table', (request, reply) => {
  reply.header('content-type', 'application/json').send(body);
});
app.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
