/** For tests of prices: a catalogue and usage of the month that has ended go in over the API, its invoice comes out. */
import { expect } from 'vitest';
import { llmRequest } from './llm-pro.ts';
import { lastMonth, type Pipeline } from './pipeline.ts';
import { unique } from './tenants.ts';
import { verify } from './verify-command.ts';

export const month = lastMonth();
const dayMs = 86_400_000;
/** Days before the end of the month. */
export const day = (number: number): number => month.end - number * dayMs;
export const at = (number: number): string => new Date(day(number)).toISOString();
export const begin = new Date(month.start).toISOString();
export const end = new Date(month.end).toISOString();

/** Properties stand in the place of the counts of tokens, where they are given. */
export type Use = {
  readonly day: number;
  readonly input: number;
  readonly properties?: Readonly<Record<string, unknown>>;
};

export const amountsOf = ({ lines }: { lines: { amount: string }[] }) => lines.map(({ amount }) => amount);

/** `pipelineOf` is asked at each call: the pipeline starts after a test file has named what it calls. */
export const billMonth = (pipelineOf: () => Pipeline) => {
  const api: Pipeline['api'] = (...args) => pipelineOf().api(...args);
  const made = async (path: string, body: unknown) => {
    const answer = await api('POST', path, body);
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
    return answer.body;
  };
  return {
    api,
    made,
    /** What is told of each field. */
    refused: async (path: string, body: unknown, status = 422) => {
      const answer = await api('POST', path, body);
      expect(answer.status, JSON.stringify(answer.body)).toBe(status);
      return answer.body.errors?.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);
    },
    /** A customer who is subscribed for all of the month, with usage that was accepted. */
    makeUser: async (plan: string, used: readonly Use[], more: object = {}): Promise<string> => {
      const customer = `c-${unique()}`;
      await made('/v1/customers', { external_id: customer, name: customer, ...more });
      await made('/v1/subscriptions', { customer_id: customer, plan, started_at: begin });
      const events = used.map(({ day: number, input, properties }, index) => ({
        ...llmRequest(`${customer}-${index}`, customer, day(number) + index, { input, output: 1 }),
        ...(properties && { properties }),
      }));
      expect((await pipelineOf().sendEvents(events)).body.accepted).toBe(events.length);
      return customer;
    },
    /** Closes the month for the customer, and reads the invoice. */
    invoiceOf: async (customer: string) => {
      expect((await pipelineOf().closePeriod({ period: month.name, customer_id: customer })).body).toMatchObject({
        state: 'completed',
        invoices_issued: 1,
      });
      const { items } = (await api('GET', `/v1/customers/${customer}/invoices`)).body;
      return (await api('GET', `/v1/invoices/${items[0].id}`)).body;
    },
    explained: async ({ id }: { id: string }) => (await api('GET', `/v1/invoices/${id}/line-items/1/explain`)).body,
    /** All that was rated comes out the same again, and nothing that is stored was changed. */
    verified: async () => {
      const { databaseUrl, clickhouseUrl } = pipelineOf();
      const store = { CLICKHOUSE_URL: clickhouseUrl };
      expect(await verify(databaseUrl, [], 'rater/verify/rating.main.ts', store)).toMatchObject({
        code: 0,
        faults: [],
      });
      expect((await verify(databaseUrl)).faults).toEqual([]);
    },
  };
};
