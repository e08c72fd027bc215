/**
 * The OpenAPI documents as the processes serve them, from the routes as they are registered, with no store behind them.
 */
import { pino } from 'pino';
import { systemClock } from '#platform/process/clock.ts';
import { createMetrics } from '#platform/process/metrics.ts';
import { createApi } from '../../api/server.ts';
import { createGateway } from '../../ingest/gateway/gateway.ts';
import { apiOptions } from './api-routes.ts';

export type Json = { readonly [name: string]: unknown };

const nothing = {} as never;

const gateway = () =>
  createGateway({
    log: pino({ level: 'silent' }),
    metrics: createMetrics(),
    clock: systemClock,
    health: [],
    bodyBytesMax: 1,
    guard: nothing,
    ports: nothing,
    conservation: nothing,
    claimSecret: 'a secret of tests',
    limits: {
      pastMsMax: 1,
      futureMsMax: 1,
      messageBytesMax: 1,
      messageEventsMax: 1,
      eventsMax: 10_000,
      inFlightBytesMax: 1,
    },
  }).app;

export const servedDocuments = async (
  path = '/openapi.json',
): Promise<{ readonly api: Json; readonly ingest: Json }> => {
  const [api, ingest] = await Promise.all([createApi(apiOptions()), gateway()].map((app) => app.inject({ url: path })));
  return { api: api?.json() as Json, ingest: ingest?.json() as Json };
};
