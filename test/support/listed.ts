/** Lists of the API, and what stands in each of them. */
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
