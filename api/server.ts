/** The billing REST API, without listen. */
import type { FastifyInstance } from 'fastify';
import { documentRoutes } from '#platform/docs.ts';
import { type GuardPorts, guardRoutes } from '#platform/guard.ts';
import { createHttpApp, type HttpOptions } from '#platform/http.ts';
import { parseJsonBody } from '#platform/json-body.ts';
import { FailureError } from '#schemas/failures.ts';
import type { AccountStore } from './accounts.postgres.ts';
import type { AmendmentStream } from './amendments.nats.ts';
import type { AmendmentStore } from './amendments.postgres.ts';
import type { ApiKeyStore } from './api-keys.postgres.ts';
import type { AuditLog } from './audit-log.postgres.ts';
import type { BilledUsage } from './billed-usage.postgres.ts';
import type { CatalogStore } from './catalog.postgres.ts';
import type { Cursors } from './cursors.ts';
import { createRoutes, type RoutePorts } from './define-route.ts';
import type { BillingFactsOf } from './event-billing.postgres.ts';
import type { StoredEvents } from './events.clickhouse.ts';
import type { IngestCounts } from './ingest-counts.postgres.ts';
import type { InvoiceReader } from './invoices.postgres.ts';
import { apiInfo } from './openapi.ts';
import { amendmentRoutes } from './routes/amendments.ts';
import { apiKeyRoutes } from './routes/api-keys.ts';
import { auditLogRoutes } from './routes/audit-log.ts';
import { planRoutes } from './routes/catalog.ts';
import { customerRoutes } from './routes/customers.ts';
import { eventRoutes } from './routes/events.ts';
import { invoiceRoutes } from './routes/invoices.ts';
import { meterRoutes } from './routes/meters.ts';
import { reconciliationRoutes } from './routes/reconciliation.ts';
import { subscriptionRoutes } from './routes/subscriptions.ts';
import { usageRoutes } from './routes/usage.ts';
import type { StoredUsage } from './stored-usage.clickhouse.ts';
import type { StreamSays } from './stream-state.nats.ts';
import type { ReadUsage } from './usage.clickhouse.ts';
import type { ReadWatermark, RecentWatermark } from './watermark.postgres.ts';

export type ApiPorts = {
  readonly catalog: CatalogStore;
  readonly accounts: AccountStore;
  readonly invoices: InvoiceReader;
  readonly apiKeys: ApiKeyStore;
  readonly auditLog: AuditLog;
  readonly readUsage: ReadUsage;
  readonly readWatermark: ReadWatermark;
  readonly recentWatermark: RecentWatermark;
  readonly cursors: Cursors;
  readonly amendments: AmendmentStore;
  readonly lastSequence: AmendmentStream['lastSequence'];
  readonly storedEvents: StoredEvents;
  readonly billingFactsOf: BillingFactsOf;
  /** How far ahead of now an event may occur. */
  readonly futureMsMax: number;
  readonly ingestCounts: IngestCounts;
  readonly storedUsage: StoredUsage;
  readonly billedUsage: BilledUsage;
  readonly streamSays: (isCallerThere: () => boolean) => Promise<StreamSays>;
  /** The keyed hash under which a key is found. */
  readonly hashKey: (key: string) => Buffer;
  /** False once the process drains: whoever waits is answered. */
  readonly isServing: () => boolean;
};

export type ApiOptions = HttpOptions & {
  readonly guard: GuardPorts;
  readonly routes: RoutePorts;
  readonly ports: Omit<ApiPorts, 'isServing' | 'cursors'>;
};

export const createApi = (options: ApiOptions): FastifyInstance => {
  const app = createHttpApp(options);
  documentRoutes(app, apiInfo, ({ definition, list, operation }) =>
    definition
      ? { ...definition, query: list?.querySchema ?? definition.documentedQuery ?? definition.query }
      : operation,
  );
  guardRoutes(app, options.guard);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    request.rawBody = body as Buffer;
    const parsed = parseJsonBody(body as Buffer);
    if (parsed.ok) done(null, parsed.value);
    else done(new FailureError('MALFORMED_BODY', parsed.reason), undefined);
  });
  const routes = createRoutes(app, options.routes);
  const ports: ApiPorts = { ...options.ports, cursors: options.routes.cursors, isServing: () => app.server.listening };
  const all = [
    meterRoutes,
    planRoutes,
    customerRoutes,
    subscriptionRoutes,
    usageRoutes,
    invoiceRoutes,
    eventRoutes,
    amendmentRoutes,
    reconciliationRoutes,
    apiKeyRoutes,
    auditLogRoutes,
  ];
  for (const add of all) add(routes, ports);
  return app;
};
