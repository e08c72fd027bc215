/** Every route of the API as it is registered, and requests that are good for each. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance, RouteOptions } from 'fastify';
import { pino } from 'pino';
import { systemClock } from '#platform/process/clock.ts';
import { createMetrics } from '#platform/process/metrics.ts';
import type { World } from '#schemas/api-key.ts';
import { createIngestCounts } from '../../api/reconciliation/ingest-counts.postgres.ts';
import { createStores } from '../../api/resources.ts';
import { createRoutes, type RouteDefinition } from '../../api/route/define-route.ts';
import type { List } from '../../api/route/lists.ts';
import { type ApiOptions, createApi } from '../../api/server.ts';
import { llmProPlan } from './llm-pro.ts';
import { lastMonth } from './pipeline.ts';
import { vaultWith } from './sealed-database.ts';
import {
  type Call,
  issueOneOff,
  newCoupon,
  newCreditNote,
  newMigratedPlan,
  newOneOffInvoice,
  newPriceOverride,
  type Objects,
  unique,
} from './tenants.ts';

export type ApiRoute = {
  readonly method: string;
  readonly url: string;
  readonly config: RouteOptions['config'];
  readonly schema: RouteOptions['schema'];
};

const nothing = {} as never;

/** The app with its real stores over nothing: it is registered and never called. */
export const apiOptions = (): ApiOptions => ({
  log: pino({ level: 'silent' }),
  metrics: createMetrics(),
  health: [],
  bodyBytesMax: 1,
  guard: { clock: systemClock, authenticate: nothing, rateLimit: nothing, openSigningSecret: nothing },
  routes: nothing,
  ports: {
    ...createStores(vaultWith()),
    lineEvents: nothing,
    lastSequence: nothing,
    storedEvents: nothing,
    futureMsMax: 0,
    readUsage: nothing,
    liveUsage: nothing,
    usageNames: nothing,
    totalsProgress: nothing,
    readWatermark: nothing,
    recentWatermark: nothing,
    hashKey: nothing,
    makePdf: nothing,
    ingestCounts: createIngestCounts('USAGE'),
    storedUsage: nothing,
    countEvents: nothing,
    streamSays: nothing,
  },
});

/** Whatever is registered, by whomever: Fastify says so itself, from its first moment on. */
export const registeredRoutes = (): ApiRoute[] => {
  const routes: ApiRoute[] = [];
  const listen = (message: unknown) => {
    (message as { fastify: FastifyInstance }).fastify.addHook('onRoute', ({ method, url, config, schema }) => {
      for (const one of [method].flat()) routes.push({ method: one, url, config, schema });
    });
  };
  subscribe('fastify.initialization', listen);
  try {
    createApi(apiOptions());
  } finally {
    unsubscribe('fastify.initialization', listen);
  }
  return routes;
};

/** The app and the way to define a route of it, for routes that are not as they should be. */
export const bareApp = () => {
  const app = createApi(apiOptions());
  return { app, routes: createRoutes(app, nothing) };
};

export type DefinedRoute = RouteDefinition & { readonly list: List | undefined };

const allDefined = (): DefinedRoute[] =>
  registeredRoutes().flatMap(({ method, config }) =>
    method !== 'HEAD' && config?.definition ? [{ ...config.definition, list: config.list }] : [],
  );

/** Those that a key opens. */
export const definedRoutes = (): DefinedRoute[] => allDefined().filter(({ byLink }) => !byLink);

/** Those for who has a link and no key. */
export const linkRoutes = (): DefinedRoute[] => allDefined().filter(({ byLink }) => byLink);

/** Which key opens a route: no live one sets a test clock going. */
export const worldOf = ({ tag }: Pick<DefinedRoute, 'tag'>): World => (tag === 'Test clocks' ? 'test' : 'live');

export type Example = { readonly path: string; readonly body?: unknown };

type ExampleOf = (api: Call, objects: Objects) => Promise<Example>;

const customer = () => ({ external_id: `example-${unique()}`, name: 'An example' });
const idOf = async (api: Call, path: string, body: unknown): Promise<string> => (await api('POST', path, body)).body.id;
const customerPath = async (api: Call): Promise<string> =>
  `/v1/customers/${await idOf(api, '/v1/customers', customer())}`;

let prefixes = 0;
/** Of a prefix that no other has: letters for digits. */
const issuingEntity = () => {
  prefixes += 1;
  const letters = [...`${Date.now()}${prefixes}`].map((digit) => 'ABCDEFGHIJ'[Number(digit)]).join('');
  return { legal_name: 'Example GmbH', number_format: { prefix: `${letters}-` } };
};
const issuingEntityPath = async (api: Call): Promise<string> =>
  `/v1/issuing-entities/${await idOf(api, '/v1/issuing-entities', issuingEntity())}`;

const newSubscription = async (api: Call) => ({
  customer_id: await idOf(api, '/v1/customers', customer()),
  plan: llmProPlan.code,
});
const subscriptionOf = async (api: Call): Promise<string> => idOf(api, '/v1/subscriptions', await newSubscription(api));

/** The path of a discount that a customer or a subscription has. */
const discountPath = async (api: Call, holder: string): Promise<string> =>
  `${holder}/discounts/${await idOf(api, `${holder}/discounts`, { coupon: await idOf(api, '/v1/coupons', newCoupon()) })}`;

/** A plan of a base fee alone. */
const flatPlan = async (api: Call, more: object = {}): Promise<{ code: string }> => {
  const price = { model: 'flat', amount: '9.00' };
  const charges = [{ code: 'base', name: 'Base fee', price }];
  const plan = { code: `p-${unique()}`, name: 'A plan', currency: llmProPlan.currency, charges, ...more };
  return (await api('POST', '/v1/plans', plan)).body;
};

/** A draft of a quote, to a new customer. */
const newQuote = async (api: Call) => ({ ...(await newSubscription(api)), valid_until: '2040-01-01T00:00:00Z' });
const quotePath = async (api: Call): Promise<string> =>
  `/v1/quotes/${await idOf(api, '/v1/quotes', await newQuote(api))}`;
const sentQuotePath = async (api: Call): Promise<string> => {
  const path = await quotePath(api);
  await api('POST', `${path}/send`);
  return path;
};

/** The path of a draft of a new plan, whose first version is active. */
const draft = async (api: Call): Promise<string> => {
  const path = `/v1/plans/${await idOf(api, '/v1/plans', { ...llmProPlan, code: `p-${unique()}` })}/versions`;
  await api('POST', path, {});
  return `${path}/2`;
};

/** The path of a rating run that changes no more. */
const endedRatingRun = async (api: Call): Promise<string> => {
  const path = `/v1/rating-runs/${await idOf(api, '/v1/rating-runs', { period: lastMonth().name })}`;
  await api('GET', `${path}?wait_seconds=25`);
  return path;
};

/** The path of a migration that waits for tomorrow. */
const waitingMigration = async (api: Call): Promise<string> => {
  const body = { from_version: 1, starts_at: new Date(Date.now() + 86_400_000).toISOString() };
  return `/v1/plan-migrations/${await idOf(api, `/v1/plans/${await newMigratedPlan(api)}/migrations`, body)}`;
};

/** Requests that succeed, of operations for which `conventional` would not do. */
const particular: Readonly<Record<string, ExampleOf>> = {
  getMeter: async (_, { meter: id }) => ({ path: `/v1/meters/${id}` }),
  listMeterVersions: async (_, { meter: id }) => ({ path: `/v1/meters/${id}/versions` }),
  getMeterUsage: async (_, { meter: id }) => ({ path: `/v1/meters/${id}/usage` }),
  createPlan: async () => ({ path: '/v1/plans', body: { ...llmProPlan, code: `p-${unique()}` } }),
  createPlanVersion: async (api) => ({
    path: `/v1/plans/${await idOf(api, '/v1/plans', { ...llmProPlan, code: `p-${unique()}` })}/versions`,
    body: { currency: 'EUR' },
  }),
  listPlanVersions: async (_, { plan }) => ({ path: `/v1/plans/${plan}/versions` }),
  getPlanVersion: async (_, { plan }) => ({ path: `/v1/plans/${plan}/versions/1` }),
  updatePlanVersion: async (api) => ({ path: await draft(api), body: { currency: 'EUR' } }),
  activatePlanVersion: async (api) => ({ path: `${await draft(api)}/activate` }),
  archivePlanVersion: async (api) => ({ path: `${await draft(api)}/archive` }),
  getCostBookVersion: async (api) => {
    const book = { code: `book-${unique()}`, name: 'A book', dimensions: ['model'], currency: 'USD' };
    const path = `/v1/cost-books/${await idOf(api, '/v1/cost-books', book)}/versions`;
    const entries = [{ match: { model: 'big' }, unit_cost: '0.01' }];
    await api('POST', path, { effective_from: '2026-10-01T00:00:00Z', entries });
    return { path: `${path}/1` };
  },
  createPriceOverride: async (_, { plan }) => ({
    path: '/v1/price-overrides',
    body: newPriceOverride(plan),
  }),
  updatePriceOverride: async (api, { plan }) => ({
    path: `/v1/price-overrides/${await idOf(api, '/v1/price-overrides', newPriceOverride(plan))}`,
    body: { effective_until: '2041-01-01T00:00:00Z' },
  }),
  getCustomer: async (_, { customer: id }) => ({ path: `/v1/customers/${id}` }),
  archiveCustomer: async (api) => ({ path: `${await customerPath(api)}/archive` }),
  unarchiveCustomer: async (api) => {
    const path = await customerPath(api);
    await api('POST', `${path}/archive`);
    return { path: `${path}/unarchive` };
  },
  exportCustomer: async (_, { customer: id }) => ({ path: `/v1/customers/${id}/export` }),
  eraseCustomer: async (api) => ({ path: `${await customerPath(api)}/erase` }),
  getCustomerUsage: async (_, { customer: id }) => ({ path: `/v1/customers/${id}/usage` }),
  getCustomerEntitlements: async (_, { customer: id }) => ({ path: `/v1/customers/${id}/entitlements` }),
  listCustomerInvoices: async (_, { customer: id }) => ({ path: `/v1/customers/${id}/invoices` }),
  createSubscription: async (api) => ({ path: '/v1/subscriptions', body: await newSubscription(api) }),
  getSubscription: async (_, { subscription }) => ({ path: `/v1/subscriptions/${subscription}` }),
  cancelSubscription: async (api) => ({
    path: `/v1/subscriptions/${await subscriptionOf(api)}/cancel`,
    body: { at: 'period_end', reason: 'too expensive' },
  }),
  undoSubscriptionCancellation: async (api) => {
    const path = `/v1/subscriptions/${await subscriptionOf(api)}`;
    await api('POST', `${path}/cancel`, {});
    return { path: `${path}/undo-cancel` };
  },
  changeSubscriptionPlan: async (api) => ({
    path: `/v1/subscriptions/${await subscriptionOf(api)}/change-plan`,
    body: { plan: (await flatPlan(api)).code, at: 'period_end' },
  }),
  changeSubscriptionSeats: async (api) => ({
    path: `/v1/subscriptions/${await subscriptionOf(api)}/seats`,
    body: { change: 3, invoice: 'now' },
  }),
  changeSubscriptionAddOns: async (api) => ({
    path: `/v1/subscriptions/${await subscriptionOf(api)}/add-ons`,
    body: { plan: (await flatPlan(api, { kind: 'add_on' })).code, quantity: 2 },
  }),
  pauseSubscription: async (api) => ({
    path: `/v1/subscriptions/${await subscriptionOf(api)}/pause`,
    body: { usage: 'refused' },
  }),
  resumeSubscription: async (api) => {
    const path = `/v1/subscriptions/${await subscriptionOf(api)}`;
    await api('POST', `${path}/pause`, {});
    return { path: `${path}/resume`, body: {} };
  },
  undoSubscriptionChange: async (api) => {
    const path = `/v1/subscriptions/${await subscriptionOf(api)}`;
    const { body } = await api('POST', `${path}/seats`, { quantity: 7, at: 'period_end' });
    return { path: `${path}/undo-change`, body: { change_id: body.pending_changes[0].id } };
  },
  listSubscriptionChanges: async (_, { subscription }) => ({ path: `/v1/subscriptions/${subscription}/changes` }),
  addOneTimeCharge: async (api) => ({
    path: `/v1/subscriptions/${await subscriptionOf(api)}/charges`,
    body: { name: 'Migration of data', unit_amount: '25.00', quantity: 3, at: 'period_end' },
  }),
  listOneTimeCharges: async (_, { subscription }) => ({ path: `/v1/subscriptions/${subscription}/charges` }),
  getOneTimeCharge: async (_, { subscription, oneTimeCharge }) => ({
    path: `/v1/subscriptions/${subscription}/charges/${oneTimeCharge}`,
  }),
  removeOneTimeCharge: async (api) => {
    const path = `/v1/subscriptions/${await subscriptionOf(api)}/charges`;
    return { path: `${path}/${await idOf(api, path, { name: 'A charge', amount: '1.00', invoice: 'now' })}` };
  },
  createPromotionCode: async (_, { coupon }) => ({ path: '/v1/promotion-codes', body: { coupon, code: unique() } }),
  addCustomerDiscount: async (api) => ({
    path: `${await customerPath(api)}/discounts`,
    body: { coupon: await idOf(api, '/v1/coupons', newCoupon()) },
  }),
  listCustomerDiscounts: async (_, { customer }) => ({ path: `/v1/customers/${customer}/discounts` }),
  getCustomerDiscount: async (_, { customer, discount }) => ({
    path: `/v1/customers/${customer}/discounts/${discount}`,
  }),
  endCustomerDiscount: async (api) => ({ path: await discountPath(api, await customerPath(api)) }),
  addSubscriptionDiscount: async (api) => ({
    path: `/v1/subscriptions/${await subscriptionOf(api)}/discounts`,
    body: { coupon: await idOf(api, '/v1/coupons', newCoupon()) },
  }),
  listSubscriptionDiscounts: async (_, { subscription }) => ({ path: `/v1/subscriptions/${subscription}/discounts` }),
  getSubscriptionDiscount: async (api) => ({
    path: await discountPath(api, `/v1/subscriptions/${await subscriptionOf(api)}`),
  }),
  endSubscriptionDiscount: async (api) => ({
    path: await discountPath(api, `/v1/subscriptions/${await subscriptionOf(api)}`),
  }),
  getSubscriptionUsage: async (_, { subscription }) => ({ path: `/v1/subscriptions/${subscription}/usage` }),
  getSubscriptionRenewal: async (_, { subscription }) => ({ path: `/v1/subscriptions/${subscription}/renewal` }),
  getSubscriptionEntitlements: async (_, { subscription }) => ({
    path: `/v1/subscriptions/${subscription}/entitlements`,
  }),
  createQuote: async (api) => ({ path: '/v1/quotes', body: await newQuote(api) }),
  getQuote: async (_, { quote }) => ({ path: `/v1/quotes/${quote}` }),
  previewQuote: async (_, { quote }) => ({ path: `/v1/quotes/${quote}/preview` }),
  updateQuote: async (api) => ({ path: await quotePath(api), body: { seats: 5 } }),
  sendQuote: async (api) => ({ path: `${await quotePath(api)}/send` }),
  acceptQuote: async (api) => ({
    path: `${await sentQuotePath(api)}/accept`,
    body: { accepted_by: 'Ada Lovelace' },
  }),
  cancelQuote: async (api) => ({ path: `${await sentQuotePath(api)}/cancel` }),
  reviseQuote: async (api) => ({ path: `${await sentQuotePath(api)}/revise` }),
  createBillingRun: async () => ({ path: '/v1/invoices/run', body: { period: lastMonth().name } }),
  getBillingRun: async (_, { run }) => ({ path: `/v1/invoices/runs/${run}` }),
  listBillingRunFailures: async (_, { run }) => ({ path: `/v1/invoices/runs/${run}/failures` }),
  listBillingRunCarriedOver: async (_, { run }) => ({ path: `/v1/invoices/runs/${run}/carried-over` }),
  getBillingRunById: async (_, { run }) => ({ path: `/v1/billing-runs/${run}` }),
  createRatingRun: async () => ({ path: '/v1/rating-runs', body: { period: lastMonth().name } }),
  getRatingRun: async (api) => ({ path: await endedRatingRun(api) }),
  listRatingRunLines: async (api) => ({ path: `${await endedRatingRun(api)}/lines` }),
  listRatingRunFailures: async (api) => ({ path: `${await endedRatingRun(api)}/failures` }),
  createInvoice: async (_, { customer }) => ({ path: '/v1/invoices', body: newOneOffInvoice(customer) }),
  getCustomerBalance: async (_, { customer }) => ({ path: `/v1/customers/${customer}/balance` }),
  previewInvoices: async (_, { customer }) => ({ path: '/v1/invoices/preview', body: { customer_id: customer } }),
  updateInvoice: async (_, { draft }) => ({ path: `/v1/invoices/${draft}`, body: { memo: unique() } }),
  deleteInvoice: async (api, { customer }) => {
    const { body } = await api('POST', '/v1/invoices', newOneOffInvoice(customer));
    return { path: `/v1/invoices/${body.id}` };
  },
  finalizeInvoice: async (api, { customer }) => {
    const { body } = await api('POST', '/v1/invoices', newOneOffInvoice(customer));
    return { path: `/v1/invoices/${body.id}/finalize` };
  },
  getInvoice: async (_, { invoice }) => ({ path: `/v1/invoices/${invoice}` }),
  listInvoiceLines: async (_, { invoice }) => ({ path: `/v1/invoices/${invoice}/line-items` }),
  verifyInvoice: async (_, { invoice }) => ({ path: `/v1/invoices/${invoice}/verify` }),
  getInvoicePdf: async (_, { invoice }) => ({ path: `/v1/invoices/${invoice}.pdf` }),
  createCreditNote: async (_, { invoice }) => ({ path: '/v1/credit-notes', body: newCreditNote(invoice) }),
  previewCreditNote: async (_, { invoice }) => ({ path: '/v1/credit-notes/preview', body: newCreditNote(invoice) }),
  getCreditNote: async (_, { creditNote }) => ({ path: `/v1/credit-notes/${creditNote}` }),
  getCreditNotePdf: async (_, { creditNote }) => ({ path: `/v1/credit-notes/${creditNote}.pdf` }),
  verifyCreditNote: async (_, { creditNote }) => ({ path: `/v1/credit-notes/${creditNote}/verify` }),
  listInvoiceCreditNotes: async (_, { invoice }) => ({ path: `/v1/invoices/${invoice}/credit-notes` }),
  voidInvoice: async (api, { customer }) => ({
    path: `/v1/invoices/${await issueOneOff(api, customer)}/void`,
    body: {},
  }),
  explainRatedLine: async (_, { ratedLine }) => ({ path: `/v1/rated-lines/${ratedLine}/explain` }),
  explainInvoiceLine: async (_, { invoice }) => ({ path: `/v1/invoices/${invoice}/line-items/2/explain` }),
  explainCreditNoteLine: async (_, { creditNote }) => ({
    path: `/v1/credit-notes/${creditNote}/line-items/1/explain`,
  }),
  listEventsOfRatedLine: async (_, { ratedLine }) => ({ path: `/v1/rated-lines/${ratedLine}/explain/events` }),
  createSimulation: async () => ({
    path: '/v1/simulations',
    body: {
      from: new Date(lastMonth().start).toISOString(),
      to: new Date(lastMonth().end).toISOString(),
      customers: { all: true },
      candidates: [{ plan: llmProPlan.code }],
    },
  }),
  getSimulation: async (_, { simulation }) => ({ path: `/v1/simulations/${simulation}` }),
  listSimulationResults: async (_, { simulation }) => ({ path: `/v1/simulations/${simulation}/results` }),
  exportSimulationResults: async (_, { simulation }) => ({ path: `/v1/simulations/${simulation}/results.csv` }),
  createPlanMigration: async (api) => ({
    path: `/v1/plans/${await newMigratedPlan(api)}/migrations`,
    body: { from_version: 1, at: 'now' },
  }),
  previewPlanMigration: async (api) => ({
    path: `/v1/plans/${await newMigratedPlan(api)}/migrations/preview`,
    body: { from_version: 'all' },
  }),
  listPlanMigrations: async (_, { plan }) => ({ path: `/v1/plans/${plan}/migrations` }),
  getPlanMigration: async (_, { planMigration }) => ({ path: `/v1/plan-migrations/${planMigration}` }),
  listPlanMigrationOutcomes: async (_, { planMigration }) => ({
    path: `/v1/plan-migrations/${planMigration}/outcomes`,
  }),
  pausePlanMigration: async (api) => ({ path: `${await waitingMigration(api)}/pause`, body: {} }),
  resumePlanMigration: async (api) => {
    const path = await waitingMigration(api);
    await api('POST', `${path}/pause`, {});
    return { path: `${path}/resume`, body: {} };
  },
  cancelPlanMigration: async (api) => ({ path: `${await waitingMigration(api)}/cancel`, body: {} }),
  createIssuingEntity: async () => ({ path: '/v1/issuing-entities', body: issuingEntity() }),
  getIssuingEntity: async (api) => ({ path: await issuingEntityPath(api) }),
  updateIssuingEntity: async (api) => ({ path: await issuingEntityPath(api), body: { legal_name: 'Another one' } }),
  getTestClock: async (api) => ({ path: `/v1/test-clocks/${await idOf(api, '/v1/test-clocks', {})}` }),
  attachCustomerToTestClock: async (api) => ({
    path: `/v1/test-clocks/${await idOf(api, '/v1/test-clocks', {})}/customers`,
    body: { customer_id: await idOf(api, '/v1/customers', customer()) },
  }),
  advanceTestClock: async (api) => ({
    path: `/v1/test-clocks/${await idOf(api, '/v1/test-clocks', {})}/advance`,
    body: { to: new Date(Date.now() + 86_400_000).toISOString() },
  }),
  createApiKey: async () => ({ path: '/v1/api-keys', body: { name: 'A key', scopes: ['read:meters'] } }),
  getApiKey: async (_, { apiKey }) => ({ path: `/v1/api-keys/${apiKey}` }),
  rotateApiKey: async (api) => ({
    path: `/v1/api-keys/${await idOf(api, '/v1/api-keys', { name: 'A key', scopes: ['read:meters'] })}/rotate`,
    body: {},
  }),
  getEvent: async (_, { event }) => ({ path: `/v1/events/${event}` }),
  checkEvents: async (_, { event }) => ({ path: '/v1/events/check', body: { idempotency_keys: [event] } }),
  amendEvents: async (_, { event }) => ({
    path: '/v1/events/amendments',
    body: {
      amendments: [
        {
          idempotency_key: event,
          action: 'replace',
          reason: 'an example',
          replacement: {
            event: 'llm.request',
            customer_id: 'someone',
            timestamp: new Date(Date.now() - 60_000).toISOString(),
          },
        },
      ],
    },
  }),
  getAmendment: async (_, { amendment }) => ({ path: `/v1/events/amendments/${amendment}` }),
};

const routes = definedRoutes();

/** As the document shows the body, under a name that nothing has yet. */
const shownBody = ({ documentedBody, body }: DefinedRoute): unknown => {
  const { examples: [shown] = [] } = (documentedBody ?? body ?? {}) as { examples?: readonly object[] };
  const name = ['code', 'external_id'].find((field) => shown && field in shown);
  return name ? { ...shown, [name]: `example-${unique()}` } : shown;
};

/**
 * What any resource can be asked for: to be listed; to be made, as the document shows it; and what takes its id, once
 * one was made.
 */
const conventional =
  (route: DefinedRoute): ExampleOf =>
  async (api, objects) => {
    const { method, url } = route;
    const body = method === 'POST' || method === 'PATCH' ? { body: shownBody(route) } : {};
    const [made = ''] = url.split('/:');
    if (made === url) return { path: url, ...body };
    const making = routes.find((other) => other.method === 'POST' && other.url === made);
    const example = making && (await examples[making.operation]?.(api, objects));
    if (!example) throw new Error(`${route.operation}: nothing is made at ${made}; say what to ask for`);
    return { path: url.replace(':id', await idOf(api, example.path, example.body)), ...body };
  };

/** A request that succeeds, by operation: each call makes what it needs, so that no two are in each other's way. */
export const examples: Readonly<Record<string, ExampleOf>> = {
  ...particular,
  ...Object.fromEntries(
    routes.filter(({ operation }) => !(operation in particular)).map((route) => [route.operation, conventional(route)]),
  ),
};
