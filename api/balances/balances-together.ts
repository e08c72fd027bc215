/**
 * Balances that are asked for at the same time are read together: what it takes to read one, a dozen statements of
 * PostgreSQL and one over usage, it takes for fifty. Who comes first is answered at once, and whoever comes meanwhile
 * by the next read, which sees whatever was there when it was asked for.
 */
import { UnavailableError } from '#platform/stores/retry.ts';
import { FailureError } from '#schemas/failures.ts';
import type { Instant } from '#schemas/period.ts';
import type { CustomerStore, Payer } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { coalesceReads } from '../usage/coalesce-reads.ts';
import { type Balance, type ReadBalancePorts, type ReadTogether, readBalances } from './read-balance.ts';

export type BalancePorts = ReadBalancePorts & { readonly customers: Pick<CustomerStore, 'payers'> };

export type CustomerBalance = { readonly customer: Payer; readonly balance: Balance };

type Caller = { readonly db: Db; readonly readTogether: ReadTogether };
/** By what it is called, and the hour of whoever asks. */
type Asked = { readonly name: string; readonly hourMs: Instant };
type Answer = CustomerBalance | FailureError;

export type ReadBalance = (caller: Caller, name: string, hourMs: Instant) => Promise<CustomerBalance>;

/** One read at a time: the more it is of, the less each of them costs. */
const together = { readsMax: 1, itemsMax: 50 };

export const createReadBalance = (ports: BalancePorts): ReadBalance => {
  /** Customers of a clock have its hour, and all others that of the last who asked. */
  const readAll = async ({ db, readTogether }: Caller, asked: readonly Asked[]): Promise<Answer[]> => {
    const hourMs = Math.max(...asked.map((one) => one.hourMs));
    const payers = await ports.customers.payers(db, [...new Set(asked.map(({ name }) => name))]);
    const byId = new Map([...payers.values()].map((payer) => [payer.id, payer]));
    const answers = new Map<string, Answer>();
    for (const [now, customers] of Map.groupBy(byId.values(), ({ clock }) => clock?.now ?? hourMs)) {
      const ids = customers.map(({ id }) => id);
      const balances = await readBalances(ports, db, readTogether, ids, now);
      customers.forEach((customer, index) => {
        const balance = balances[index] as Balance | FailureError;
        answers.set(customer.id, balance instanceof FailureError ? balance : { customer, balance });
      });
    }
    return asked.map(({ name }) => answers.get(payers.get(name)?.id ?? '') ?? new FailureError('CUSTOMER_NOT_FOUND'));
  };
  const readOne = async (caller: Caller, one: Asked): Promise<CustomerBalance> => {
    const [answer] = await readAll(caller, [one]);
    if (answer instanceof FailureError) throw answer;
    return answer as CustomerBalance;
  };
  const read = coalesceReads<Caller, Asked, PromiseSettledResult<CustomerBalance>>(together, async (caller, asked) => {
    try {
      return (await readAll(caller, asked)).map((answer) =>
        answer instanceof FailureError
          ? { status: 'rejected', reason: answer }
          : { status: 'fulfilled', value: answer },
      );
    } catch (error) {
      if (asked.length === 1 || error instanceof UnavailableError) throw error;
      // What is wrong with one of them the others have no part in. One by one: each takes a connection.
      const settled: PromiseSettledResult<CustomerBalance>[] = [];
      for (const one of asked) settled.push(...(await Promise.allSettled([readOne(caller, one)])));
      return settled;
    }
  });
  return async (caller, name, hourMs) => {
    const answer = await read(caller.db.organizationId, caller, { name, hourMs });
    if (answer.status === 'rejected') throw answer.reason;
    return answer.value;
  };
};
