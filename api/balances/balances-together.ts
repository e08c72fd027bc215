/**
 * Balances that are asked for at the same time are read together: what it takes to read one, a dozen statements of
 * PostgreSQL and one over usage, it takes for fifty. Who comes first is answered at once, and whoever comes meanwhile
 * by the next read, which sees whatever was there when it was asked for.
 */
import { UnavailableError } from '#platform/stores/retry.ts';
import { FailureError } from '#schemas/failures.ts';
import type { Instant } from '#schemas/period.ts';
import type { Payer } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { coalesceReads } from '../usage/coalesce-reads.ts';
import { type Balance, type ReadBalancePorts, type ReadTogether, readBalances } from './read-balance.ts';

type Caller = { readonly db: Db; readonly readTogether: ReadTogether };
type Asked = { readonly customerId: string; readonly now: Instant };

export type ReadBalance = (caller: Caller, customer: Pick<Payer, 'id' | 'clock'>, hourMs: Instant) => Promise<Balance>;

/** A second read keeps the other core at work; who waits for one of many waits a moment longer. */
const together = { readsMax: 2, itemsMax: 50 };

export const createReadBalance = (ports: ReadBalancePorts): ReadBalance => {
  const readAll = async ({ db, readTogether }: Caller, asked: readonly Asked[]) => {
    const ids = [...new Set(asked.map(({ customerId }) => customerId))];
    const now = Math.max(...asked.map((one) => one.now));
    const balances = await readBalances(ports, db, readTogether, ids, now);
    const balanceOf = new Map(ids.map((id, index) => [id, balances[index] as Balance | FailureError]));
    return asked.map(({ customerId }) => balanceOf.get(customerId) as Balance | FailureError);
  };
  const readOne = async (caller: Caller, one: Asked): Promise<Balance> => {
    const [balance] = await readAll(caller, [one]);
    if (balance instanceof FailureError) throw balance;
    return balance as Balance;
  };
  const read = coalesceReads<Caller, Asked, PromiseSettledResult<Balance>>(together, async (caller, asked) => {
    try {
      return (await readAll(caller, asked)).map((balance) =>
        balance instanceof FailureError
          ? { status: 'rejected', reason: balance }
          : { status: 'fulfilled', value: balance },
      );
    } catch (error) {
      if (asked.length === 1 || error instanceof UnavailableError) throw error;
      // What is wrong with one of them the others have no part in.
      return await Promise.allSettled(asked.map((one) => readOne(caller, one)));
    }
  });
  return async (caller, { id, clock }, hourMs) => {
    // Customers of a clock have its hour, and all others now.
    const name = JSON.stringify([caller.db.organizationId, clock ?? null]);
    const answer = await read(name, caller, { customerId: id, now: clock?.now ?? hourMs });
    if (answer.status === 'rejected') throw answer.reason;
    return answer.value;
  };
};
