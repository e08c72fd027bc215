import { it } from 'vitest';
import { writeFileSync } from 'node:fs';
import { Validator } from '@seriousme/openapi-schema-validator';
import { createApi } from '../../../api/server.ts';
import { createGateway } from '../../../ingest/gateway.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
it('x', async () => {
  const base = { log: createLog('test','silent'), metrics: createMetrics(), health: [], bodyBytesMax: 1e6 };
  const app = createApi({ ...base, guard: {} as never, routes: {} as never, ports: {} as never });
  const doc = (await app.inject('/openapi.json')).json();
  writeFileSync('/tmp/api.json', JSON.stringify(doc, null, 1));
  console.log(JSON.stringify(await new Validator().validate(doc)).slice(0, 3000));
  const g = createGateway({ ...base, metrics: createMetrics(), clock: {} as never, guard: {} as never, ports: {} as never, limits: { eventsMax: 10000, inFlightBytesMax: 1e7 } as never });
  const gd = (await g.app.inject('/openapi.json')).json();
  writeFileSync('/tmp/ingest.json', JSON.stringify(gd, null, 1));
  console.log(JSON.stringify(await new Validator().validate(gd)).slice(0, 3000));
  for (const u of ['/docs', '/docs/errors', '/docs/errors/BAD_REQUEST', '/docs/errors/x', '/docs/assets/swagger-ui.css']) { const a = await app.inject({url: u, headers: {accept: 'text/html'}}); console.log(u, a.statusCode, a.headers, a.body.slice(0, 300)); }
});
