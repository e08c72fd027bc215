/** The billing REST API, without listen. */
import type { FastifyInstance } from 'fastify';
import { type Authenticate, guardRoutes } from '#platform/authenticate.ts';
import type { Clock } from '#platform/clock.ts';
import { createHttpApp, type HttpOptions } from '#platform/http.ts';
import type { AccountStore } from './accounts.postgres.ts';
import type { CatalogStore } from './catalog.postgres.ts';
import type { InvoiceReader } from './invoices.postgres.ts';
import { catalogRoutes } from './routes/catalog.ts';
import { customerRoutes } from './routes/customers.ts';
import { invoiceRoutes } from './routes/invoices.ts';
import { subscriptionRoutes } from './routes/subscriptions.ts';
import type { ReadUsage } from './usage.clickhouse.ts';

export type ApiPorts = {
  readonly clock: Clock;
  readonly catalog: CatalogStore;
  readonly accounts: AccountStore;
  readonly invoices: InvoiceReader;
  readonly readUsage: ReadUsage;
};

export type ApiOptions = HttpOptions & { readonly authenticate: Authenticate; readonly ports: ApiPorts };

export const createApi = (options: ApiOptions): FastifyInstance => {
  const app = createHttpApp(options);
  guardRoutes(app, options.authenticate);
  catalogRoutes(app, options.ports);
  customerRoutes(app, options.ports);
  subscriptionRoutes(app, options.ports);
  invoiceRoutes(app, options.ports);
  return app;
};
