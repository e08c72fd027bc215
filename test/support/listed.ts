/** Lists of the API, what stands in each of them, and of which objects routes take an id. */
import { definedRoutes, examples } from './api-routes.ts';
import type { Objects, Tenant } from './tenants.ts';

/** Those of an organization, each with its route. */
export const lists = definedRoutes().flatMap((route) =>
  route.list && !route.url.includes(':') ? [[route.url, route] as const] : [],
);

/** One of each resource that none was made of yet; a trial that ends with its subscription is canceled, too. */
export const makeWhatIsListed = async ({ api }: Tenant, objects: Objects): Promise<void> => {
  for (const [url] of lists) {
    const making = definedRoutes().find((route) => route.method === 'POST' && route.url === url);
    if (!making || (await api('GET', `${url}?limit=1`)).body.pagination.total > 0) continue;
    const example = await examples[making.operation]?.(api, objects);
    await api('POST', url, example?.body);
  }
  const subscription = await examples.createSubscription?.(api, objects);
  await api('POST', '/v1/subscriptions', {
    ...(subscription?.body as object),
    trial: { days: 1, end_action: 'cancel' },
  });
};

const ofInvoice = 'FROM billing_periods p WHERE p.invoice_id = $1';
/** What no request brings about of the billing periods of the invoice `$1`; `$2` is a run. */
export const rowsOfPeriods = `
WITH carried AS (
  INSERT INTO carried_periods SELECT $2, p.id, p.organization_id, p.payer_id, 'USD', 1, 2, now() ${ofInvoice}
)
INSERT INTO late_periods SELECT p.id, p.organization_id, now() ${ofInvoice}`;

/** By what takes an id, which of the objects that there are it asks for; of others one is made. */
export const kinds: Readonly<Record<string, Exclude<keyof Objects, 'externalId'>>> = {
  '/v1/meters/:id': 'meter',
  '/v1/meters/:id/versions': 'meter',
  '/v1/meters/:id/usage': 'meter',
  '/v1/customers/:id': 'customer',
  '/v1/customers/:id/usage': 'customer',
  '/v1/customers/:id/entitlements': 'customer',
  '/v1/customers/:id/invoices': 'customer',
  '/v1/customers/:id/export': 'customer',
  '/v1/subscriptions/:id': 'subscription',
  '/v1/subscriptions/:id/entitlements': 'subscription',
  '/v1/subscriptions/:id/usage': 'subscription',
  '/v1/quotes/:id': 'quote',
  '/v1/quotes/:id/preview': 'quote',
  '/v1/invoices/runs/:id': 'run',
  '/v1/invoices/runs/:id/failures': 'run',
  '/v1/invoices/runs/:id/carried-over': 'run',
  '/v1/billing-runs/:id': 'run',
  '/v1/invoices/:id': 'invoice',
  '/v1/invoices/:id.pdf': 'invoice',
  '/v1/invoices/:id/line-items': 'invoice',
  '/v1/invoices/:id/verify': 'invoice',
  '/v1/invoices/:id/line-items/:line/explain': 'invoice',
  '/v1/invoices/:id/credit-notes': 'invoice',
  '/v1/credit-notes/:id': 'creditNote',
  '/v1/credit-notes/:id.pdf': 'creditNote',
  '/v1/credit-notes/:id/verify': 'creditNote',
  '/v1/credit-notes/:id/line-items/:line/explain': 'creditNote',
  '/v1/rated-lines/:id/explain': 'ratedLine',
  '/v1/rated-lines/:id/explain/events': 'ratedLine',
  '/v1/simulations/:id': 'simulation',
  '/v1/simulations/:id/results': 'simulation',
  '/v1/simulations/:id/results.csv': 'simulation',
  '/v1/plan-migrations/:id': 'planMigration',
  '/v1/plan-migrations/:id/outcomes': 'planMigration',
  '/v1/events/:id': 'event',
  '/v1/events/amendments/:id': 'amendment',
  '/v1/api-keys/:id': 'apiKey',
  '/v1/api-keys/:id/rotate': 'apiKey',
};
