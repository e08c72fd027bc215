/** The billing REST API, without listen. */
import type { FastifyInstance } from 'fastify';
import { type GuardPorts, guardRoutes } from '#platform/access/guard.ts';
import { documentRoutes } from '#platform/http/docs.ts';
import { createHttpApp, type HttpOptions } from '#platform/http/http.ts';
import { parseJsonBody } from '#platform/http/json-body.ts';
import { FailureError } from '#schemas/failures.ts';
import { type ApiKeyPorts, apiKeyRoutes } from './access/api-key-routes.ts';
import { type AuditLogPorts, auditLogRoutes } from './access/audit-log-routes.ts';
import type { PlanPorts } from './catalog/change-plan.ts';
import { type MeterPorts, meterRoutes } from './catalog/meter-routes.ts';
import { planRoutes } from './catalog/plan-routes.ts';
import { planVersionRoutes } from './catalog/plan-version-routes.ts';
import { type CustomerPorts, customerRoutes } from './customers/customer-routes.ts';
import { type AmendmentPorts, amendmentRoutes } from './events/amendment-routes.ts';
import { type EventPorts, eventRoutes } from './events/event-routes.ts';
import { type ExplainPorts, explainRoutes } from './explain/explain-routes.ts';
import { type InvoicePorts, invoiceRoutes } from './invoices/invoice-routes.ts';
import { type ReconciliationPorts, reconciliationRoutes } from './reconciliation/reconciliation-routes.ts';
import { createRoutes, type RoutePorts } from './route/define-route.ts';
import { apiInfo } from './route/openapi.ts';
import { type SubscriptionPorts, subscriptionRoutes } from './subscriptions/subscription-routes.ts';
import { type UsagePorts, usageRoutes } from './usage/usage-routes.ts';

/** What the routes need, each as its file declares it. */
type ApiPorts = PlanPorts &
  MeterPorts &
  ApiKeyPorts &
  AuditLogPorts &
  ReconciliationPorts &
  SubscriptionPorts &
  EventPorts &
  CustomerPorts &
  UsagePorts &
  InvoicePorts &
  ExplainPorts &
  AmendmentPorts;

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
    planVersionRoutes,
    customerRoutes,
    subscriptionRoutes,
    usageRoutes,
    invoiceRoutes,
    explainRoutes,
    eventRoutes,
    amendmentRoutes,
    reconciliationRoutes,
    apiKeyRoutes,
    auditLogRoutes,
  ];
  for (const add of all) add(routes, ports);
  return app;
};
