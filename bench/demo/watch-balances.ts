/** The demo's live part: balances of a few customers that rise while they use something, and how fast they are read. */
import { customerOf } from './llm-usage.ts';
import type { Client } from './millrace-client.ts';

type BalanceJson = {
  readonly currencies: readonly { readonly running: { readonly total: string } }[];
  readonly subscriptions: readonly {
    readonly lines: readonly { readonly description: string; readonly quantity: string }[];
  }[];
};

export type LiveBalances = {
  readonly reads: number;
  readonly p50_ms: number;
  readonly max_ms: number;
  /** From the last answer of the gateway until a balance had all of its events. */
  readonly counted_after_ms: number;
  readonly customers: readonly { readonly customer: string; readonly before: string; readonly after: string }[];
};

const rounds = 12;
const eventsPerRound = 20;
const betweenMs = 100;
const waitMsMax = 30_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const requestsOf = ({ subscriptions }: BalanceJson): number =>
  subscriptions
    .flatMap(({ lines }) => lines)
    .filter(({ description }) => description === 'Requests')
    .reduce((sum, { quantity }) => sum + Number(quantity), 0);
const totalOf = ({ currencies }: BalanceJson): string => currencies[0]?.running.total ?? '0.00';

/** New events each time: what was used now is no repeat of what was used before. */
const eventsOf = (customers: readonly string[], run: number, round: number): object[] =>
  customers.flatMap((customer_id) =>
    Array.from({ length: eventsPerRound }, (_, index) => ({
      idempotency_key: `demo-live-${run}-${customer_id}-${round}-${index}`,
      event: 'llm.request',
      customer_id,
      timestamp: new Date().toISOString(),
      properties: { model: 'model-l', region: 'eu', input_tokens: 1_500 + 40 * index, output_tokens: 300 + 10 * index },
    })),
  );

/** Throws where a balance falls, or does not come to have all events. */
export const watchBalances = async (client: Client, customerCount: number, run: number): Promise<LiveBalances> => {
  const customers = Array.from({ length: Math.min(3, customerCount) }, (_, index) => customerOf(index));
  const times: number[] = [];
  const readAll = (): Promise<BalanceJson[]> =>
    Promise.all(
      customers.map(async (customer) => {
        const begin = performance.now();
        const balance = await client.get<BalanceJson>(`/v1/customers/${customer}/balance`);
        times.push(performance.now() - begin);
        return balance;
      }),
    );
  const before = await readAll();
  let last = before;
  const readOn = async (): Promise<void> => {
    const next = await readAll();
    next.forEach((balance, index) => {
      if (requestsOf(balance) < requestsOf(last[index] as BalanceJson))
        throw new Error(`the balance of ${customers[index]} fell`);
    });
    last = next;
  };
  for (let round = 0; round < rounds; round += 1) {
    await client.sendEvents(eventsOf(customers, run, round));
    await readOn();
    await pause(betweenMs);
  }
  const sentAt = performance.now();
  const isCounted = (balance: BalanceJson, index: number): boolean =>
    requestsOf(balance) - requestsOf(before[index] as BalanceJson) === rounds * eventsPerRound;
  while (!last.every(isCounted)) {
    if (performance.now() - sentAt > waitMsMax) throw new Error('balances do not have all events that were accepted');
    await readOn();
  }
  const sorted = times.toSorted((a, b) => a - b);
  return {
    reads: times.length,
    p50_ms: Math.round(sorted[sorted.length >> 1] ?? 0),
    max_ms: Math.round(sorted.at(-1) ?? 0),
    counted_after_ms: Math.round(performance.now() - sentAt),
    customers: customers.map((customer, index) => ({
      customer,
      before: totalOf(before[index] as BalanceJson),
      after: totalOf(last[index] as BalanceJson),
    })),
  };
};
