/** A sandbox in which customers live by test clocks, for stories over months and years. */
import { expect } from 'vitest';
import type { ApiAnswer, Pipeline } from './pipeline.ts';
import { hostsOf, unique } from './tenants.ts';

export type Sandbox = {
  readonly api: Pipeline['api'];
  readonly send: (events: readonly object[]) => Promise<void>;
  readonly made: (path: string, body: object) => Promise<ApiAnswer['body']>;
};

/** With a key of the test world, which the first key makes. */
export const sandboxOf = async (pipeline: Pipeline): Promise<Sandbox> => {
  const answer = await pipeline.api('POST', '/v1/api-keys', { name: 'Sandbox', scopes: ['admin'], world: 'test' });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  const { api, ingest } = hostsOf(pipeline, answer.body.key);
  return {
    api,
    send: async (events) => {
      const sent = await ingest('POST', '/v1/events', events);
      expect(sent.body, JSON.stringify(sent.body)).toMatchObject({ accepted: events.length });
    },
    made: async (path, body) => {
      const made = await api('POST', path, body);
      expect(made.status, `${path}: ${JSON.stringify(made.body)}`).toBeLessThan(300);
      return made.body;
    },
  };
};

export type Life = {
  readonly customer: string;
  readonly clock: string;
  /** The hour goes on to an instant, and what falls due on the way is billed. */
  readonly until: (instant: string) => Promise<void>;
  /** Each of the customer's invoices in the order of time: when, the total, and its lines. */
  readonly invoices: () => Promise<{ at: string; total: string; lines: string[] }[]>;
};

/** A customer that lives by a clock of its own from an instant on. */
export const lifeFrom = async (sandbox: Sandbox, now: string, customer: object = {}): Promise<Life> => {
  const { id: clock } = await sandbox.made('/v1/test-clocks', { now });
  const externalId = `c-${unique()}`;
  await sandbox.made('/v1/customers', { external_id: externalId, name: 'A customer', ...customer });
  await sandbox.made(`/v1/test-clocks/${clock}/customers`, { customer_id: externalId });
  return {
    customer: externalId,
    clock,
    until: async (to) => {
      await sandbox.made(`/v1/test-clocks/${clock}/advance`, { to });
      for (let round = 0; round < 20; round += 1) {
        const { body } = await sandbox.api('GET', `/v1/test-clocks/${clock}?wait_seconds=25`);
        if (body.state !== 'ready') continue;
        expect(body).toMatchObject({ failure: null, now: new Date(to).toISOString() });
        return;
      }
      throw new Error(`the clock did not come to ${to}`);
    },
    invoices: async () => {
      const { body } = await sandbox.api('GET', `/v1/invoices?customer_id=${externalId}&sort=number&limit=1000`);
      const whole = await Promise.all(
        body.items.map(async ({ id }: { id: string }) => (await sandbox.api('GET', `/v1/invoices/${id}`)).body),
      );
      return whole.map(({ issued_at: at, total, lines }) => ({
        at,
        total,
        lines: lines.map(
          (line: {
            description: string;
            quantity: string;
            amount: string;
            service_period: { start: string; end: string };
          }) =>
            `${line.description} x${line.quantity} ${line.amount} ${day(line.service_period.start)}..${day(line.service_period.end)}`,
        ),
      }));
    },
  };
};

const day = (instant: string): string => instant.replace('.000Z', 'Z').replace('T00:00:00Z', '').replace(':00Z', 'Z');
