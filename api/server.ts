/** The billing REST API, without listen. */
import type { FastifyInstance } from 'fastify';
import { type GuardPorts, guardRoutes } from '#platform/access/guard.ts';
import { documentRoutes } from '#platform/http/docs.ts';
import { createHttpApp, type HttpOptions } from '#platform/http/http.ts';
import { parseJsonBody } from '#platform/http/json-body.ts';
import { FailureError } from '#schemas/failures.ts';
import { apiKeyRoutes } from './access/api-key-routes.ts';
import type { ApiKeyStore } from './access/api-keys.postgres.ts';
import type { AuditLog } from './access/audit-log.postgres.ts';
import { auditLogRoutes } from './access/audit-log-routes.ts';
import type { AmendPorts } from './amendments/amend-events.ts';
import { amendmentRoutes } from './amendments/amendment-routes.ts';
import type { AmendmentStore } from './amendments/amendments.postgres.ts';
import type { CatalogStore } from './catalog/catalog.postgres.ts';
import { meterRoutes } from './catalog/meter-routes.ts';
import { planRoutes } from './catalog/plan-routes.ts';
import type { AccountStore } from './customers/accounts.postgres.ts';
import { customerRoutes } from './customers/customer-routes.ts';
import type { BilledUsage } from './events/billed-usage.postgres.ts';
import type { BillingFactsOf } from './events/event-billing.postgres.ts';
import { eventRoutes } from './events/event-routes.ts';
import type { StoredEvents } from './events/events.clickhouse.ts';
import { invoiceRoutes } from './invoices/invoice-routes.ts';
import type { InvoiceReader } from './invoices/invoices.postgres.ts';
import type { IngestCounts } from './reconciliation/ingest-counts.postgres.ts';
import { reconciliationRoutes } from './reconciliation/reconciliation-routes.ts';
import type { StoredUsage } from './reconciliation/stored-usage.clickhouse.ts';
import type { StreamSays } from './reconciliation/stream-state.nats.ts';
import type { Cursors } from './route/cursors.ts';
import { createRoutes, type RoutePorts } from './route/define-route.ts';
import { apiInfo } from './route/openapi.ts';
import { subscriptionRoutes } from './subscriptions/subscription-routes.ts';
import type { ReadUsage } from './usage/usage.clickhouse.ts';
import { usageRoutes } from './usage/usage-routes.ts';
import type { ReadWatermark, RecentWatermark } from './usage/watermark.postgres.ts';

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
  readonly lastSequence: AmendPorts['lastSequence'];
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
