/** Every route of the API as it is registered, and requests that are good for each. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance, RouteOptions } from 'fastify';
import { pino } from 'pino';
import { systemClock } from '#platform/process/clock.ts';
import { createMetrics } from '#platform/process/metrics.ts';
import { createApiKeyStore } from '../../api/access/api-keys.postgres.ts';
import { auditLog } from '../../api/access/audit-log.postgres.ts';
import { catalogStore } from '../../api/catalog/catalog.postgres.ts';
import { createCustomerStore } from '../../api/customers/customers.postgres.ts';
import { amendmentStore } from '../../api/events/amendments.postgres.ts';
import { billedUsage } from '../../api/events/billed-usage.postgres.ts';
import { ratedLines } from '../../api/explain/rated-lines.postgres.ts';
import { invoiceReader } from '../../api/invoices/invoices.postgres.ts';
import { createIngestCounts } from '../../api/reconciliation/ingest-counts.postgres.ts';
import { createRoutes, type RouteDefinition } from '../../api/route/define-route.ts';
import type { List } from '../../api/route/lists.ts';
import { type ApiOptions, createApi } from '../../api/server.ts';
import { subscriptionStore } from '../../api/subscriptions/subscriptions.postgres.ts';
import { llmProPlan } from './llm-pro.ts';
import { lastMonth } from './pipeline.ts';
import { vaultWith } from './sealed-database.ts';
import { type Call, type Objects, unique } from './tenants.ts';

export type ApiRoute = { readonly method: string; readonly url: string; readonly config: RouteOptions['config'] };

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
    catalog: catalogStore,
    customers: createCustomerStore(vaultWith()),
    subscriptions: subscriptionStore,
    invoices: invoiceReader,
    ratedLines,
    lineEvents: nothing,
    apiKeys: createApiKeyStore(vaultWith()),
    amendments: amendmentStore,
    lastSequence: nothing,
    storedEvents: nothing,
    billingFactsOf: nothing,
    futureMsMax: 0,
    auditLog,
    readUsage: nothing,
    readWatermark: nothing,
    recentWatermark: nothing,
    hashKey: nothing,
    ingestCounts: createIngestCounts('USAGE'),
    storedUsage: nothing,
    billedUsage,
    streamSays: nothing,
  },
});

/** Whatever is registered, by whomever: Fastify says so itself, from its first moment on. */
export const registeredRoutes = (): ApiRoute[] => {
  const routes: ApiRoute[] = [];
  const listen = (message: unknown) => {
    (message as { fastify: FastifyInstance }).fastify.addHook('onRoute', ({ method, url, config }) => {
      for (const one of [method].flat()) routes.push({ method: one, url, config });
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

export const definedRoutes = (): DefinedRoute[] =>
  registeredRoutes().flatMap(({ method, config }) =>
    method !== 'HEAD' && config?.definition ? [{ ...config.definition, list: config.list }] : [],
  );

export type Example = { readonly path: string; readonly body?: unknown };

const customer = () => ({ external_id: `example-${unique()}`, name: 'An example' });
const meter = () => ({ code: `m-${unique()}`, name: 'A meter', event: 'example', aggregation: 'count' });
const idOf = async (api: Call, path: string, body: unknown): Promise<string> => (await api('POST', path, body)).body.id;

/** The path of a draft of a new plan, whose first version is active. */
const draft = async (api: Call): Promise<string> => {
  const path = `/v1/plans/${await idOf(api, '/v1/plans', { ...llmProPlan, code: `p-${unique()}` })}/versions`;
  await api('POST', path, {});
  return `${path}/2`;
};

/** A request that succeeds, by operation: each call makes what it needs, so that no two are in each other's way. */
export const examples: Readonly<Record<string, (api: Call, objects: Objects) => Promise<Example>>> = {
  createMeter: async () => ({ path: '/v1/meters', body: meter() }),
  listMeters: async () => ({ path: '/v1/meters' }),
  getMeter: async (_, { meter: id }) => ({ path: `/v1/meters/${id}` }),
  updateMeter: async (api) => ({
    path: `/v1/meters/${await idOf(api, '/v1/meters', meter())}`,
    body: { name: 'Another name' },
  }),
  listMeterVersions: async (_, { meter: id }) => ({ path: `/v1/meters/${id}/versions` }),
  deleteMeter: async (api) => ({ path: `/v1/meters/${await idOf(api, '/v1/meters', meter())}` }),
  getMeterUsage: async (_, { meter: id }) => ({ path: `/v1/meters/${id}/usage` }),
  createPlan: async () => ({ path: '/v1/plans', body: { ...llmProPlan, code: `p-${unique()}` } }),
  listPlans: async () => ({ path: '/v1/plans' }),
  getPlan: async (_, { plan }) => ({ path: `/v1/plans/${plan}` }),
  updatePlan: async (api) => ({
    path: `/v1/plans/${await idOf(api, '/v1/plans', { ...llmProPlan, code: `p-${unique()}` })}`,
    body: { name: 'Another name' },
  }),
  createPlanVersion: async (api) => ({
    path: `/v1/plans/${await idOf(api, '/v1/plans', { ...llmProPlan, code: `p-${unique()}` })}/versions`,
    body: { currency: 'EUR' },
  }),
  listPlanVersions: async (_, { plan }) => ({ path: `/v1/plans/${plan}/versions` }),
  getPlanVersion: async (_, { plan }) => ({ path: `/v1/plans/${plan}/versions/1` }),
  updatePlanVersion: async (api) => ({ path: await draft(api), body: { currency: 'EUR' } }),
  activatePlanVersion: async (api) => ({ path: `${await draft(api)}/activate` }),
  archivePlanVersion: async (api) => ({ path: `${await draft(api)}/archive` }),
  createCustomer: async () => ({ path: '/v1/customers', body: customer() }),
  listCustomers: async () => ({ path: '/v1/customers' }),
  getCustomer: async (_, { customer: id }) => ({ path: `/v1/customers/${id}` }),
  updateCustomer: async (api) => ({
    path: `/v1/customers/${await idOf(api, '/v1/customers', customer())}`,
    body: { name: 'Another name' },
  }),
  getCustomerUsage: async (_, { customer: id }) => ({ path: `/v1/customers/${id}/usage` }),
  listCustomerInvoices: async (_, { customer: id }) => ({ path: `/v1/customers/${id}/invoices` }),
  createSubscription: async (api) => ({
    path: '/v1/subscriptions',
    body: { customer_id: await idOf(api, '/v1/customers', customer()), plan: llmProPlan.code },
  }),
  listSubscriptions: async () => ({ path: '/v1/subscriptions' }),
  getSubscription: async (_, { subscription }) => ({ path: `/v1/subscriptions/${subscription}` }),
  getSubscriptionUsage: async (_, { subscription }) => ({ path: `/v1/subscriptions/${subscription}/usage` }),
  updateSubscription: async (api) => {
    const customerId = await idOf(api, '/v1/customers', customer());
    const id = await idOf(api, '/v1/subscriptions', { customer_id: customerId, plan: llmProPlan.code });
    return { path: `/v1/subscriptions/${id}`, body: { metadata: { note: 'another' } } };
  },
  createBillingRun: async () => ({ path: '/v1/invoices/run', body: { period: lastMonth().name } }),
  getBillingRun: async (_, { run }) => ({ path: `/v1/invoices/runs/${run}` }),
  listInvoices: async () => ({ path: '/v1/invoices' }),
  getInvoice: async (_, { invoice }) => ({ path: `/v1/invoices/${invoice}` }),
  explainRatedLine: async (_, { ratedLine }) => ({ path: `/v1/rated-lines/${ratedLine}/explain` }),
  explainInvoiceLine: async (_, { invoice }) => ({ path: `/v1/invoices/${invoice}/line-items/2/explain` }),
  listEventsOfRatedLine: async (_, { ratedLine }) => ({ path: `/v1/rated-lines/${ratedLine}/explain/events` }),
  createApiKey: async () => ({ path: '/v1/api-keys', body: { name: 'A key', scopes: ['read:meters'] } }),
  listApiKeys: async () => ({ path: '/v1/api-keys' }),
  getApiKey: async (_, { apiKey }) => ({ path: `/v1/api-keys/${apiKey}` }),
  rotateApiKey: async (api) => ({
    path: `/v1/api-keys/${await idOf(api, '/v1/api-keys', { name: 'A key', scopes: ['read:meters'] })}/rotate`,
    body: {},
  }),
  revokeApiKey: async (api) => ({
    path: `/v1/api-keys/${await idOf(api, '/v1/api-keys', { name: 'A key', scopes: ['read:meters'] })}`,
  }),
  searchEvents: async () => ({ path: '/v1/events' }),
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
  listAmendments: async () => ({ path: '/v1/events/amendments' }),
  getAmendment: async (_, { amendment }) => ({ path: `/v1/events/amendments/${amendment}` }),
  getReconciliation: async () => ({ path: '/v1/reconciliation' }),
  listAuditLog: async () => ({ path: '/v1/audit-log' }),
};
