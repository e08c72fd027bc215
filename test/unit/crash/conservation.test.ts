/** The check of the crash matrix is fed every lie that it is there to find. */
import { describe, expect, it } from 'vitest';
import type { Book } from '../../crash/client.ts';
import {
  type Evidence,
  findsPlantedLies,
  impliedInvoice,
  isSound,
  judge,
  plantedLies,
  type StoredKey,
} from '../../crash/conservation.ts';
import type { SentEvent } from '../../crash/workload.ts';

const event = (number: number, more: Partial<SentEvent> = {}): SentEvent => ({
  kind: 'first',
  key: `key-${number}`,
  customer: `customer-${number % 2}`,
  atMs: 1_000 + number,
  input: 100 * number,
  output: number,
  ...more,
});

const sent = [...Array.from({ length: 8 }, (_, index) => event(index + 1)), event(9, { atMs: undefined })];

const asStored = ({ key, customer, input, output }: SentEvent): StoredKey => ({
  key,
  rows: 1,
  customers: [customer],
  input,
  output,
});

const honest = (book: Partial<Book> = {}): Evidence => ({
  book: {
    sent: new Map(sent.map((one) => [one.key, one])),
    taken: new Set(sent.map(({ key }) => key)),
    refused: new Map(),
    conflicts: 0,
    variantsTaken: [],
    acceptedAgain: new Set(),
    resent: 0,
    unanswered: 0,
    ...book,
  },
  stored: sent.map(asStored),
  invoices: new Map(
    ['customer-0', 'customer-1'].map((customer) => [
      customer,
      impliedInvoice(sent.filter((one) => one.customer === customer && one.atMs !== undefined)),
    ]),
  ),
});

const changed = (key: string, more: Partial<StoredKey>): Evidence => ({
  ...honest(),
  stored: honest().stored.map((row) => (row.key === key ? { ...row, ...more } : row)),
});

describe('the verdict over a round', () => {
  it('[I2] what was accepted and is stored and billed once is sound, and counts add up', () => {
    const verdict = judge(honest(), false);
    expect(verdict).toEqual({ accepted: 9, stored: 9, billed: 8, open: 1, lost: [], doubled: [], faults: [] });
    expect(isSound(verdict)).toBe(true);
  });

  it('[I2] a planted loss and a planted double are found, each by its key', () => {
    const { loss, double } = plantedLies(honest());
    expect(judge(loss, false)).toMatchObject({ lost: ['key-1'], doubled: [] });
    expect(judge(double, false)).toMatchObject({ lost: [], doubled: ['key-1'] });
    expect(isSound(judge(loss, false))).toBe(false);
    expect(isSound(judge(double, false))).toBe(false);
    expect(findsPlantedLies(honest(), false)).toBe(true);
  });

  it('[I3] an event that was sent and never taken is a fault of the round, and no loss', () => {
    const verdict = judge(honest({ taken: new Set(sent.slice(1).map(({ key }) => key)) }), false);
    expect(verdict.lost).toEqual([]);
    expect(verdict.faults.join()).toContain('sent and never taken: key-1');
  });

  it('an event that nobody sent is found', () => {
    const stranger = asStored(event(77));
    expect(judge({ ...honest(), stored: [...honest().stored, stranger] }, false).faults.join()).toContain(
      'without having been sent: key-77',
    );
  });

  it.each([
    ['payload', { input: 1_000_100 }],
    ['customer', { customers: ['somebody else'] }],
    ['customers beside the first', { customers: ['customer-1', 'somebody else'] }],
  ])('[I4] a stored event with another %s is found', (_, more) => {
    expect(judge(changed('key-1', more), false).faults.join()).toContain('stored otherwise than sent: key-1');
  });

  it('[I4] a variant that was taken is a fault, unless Redis was lost; an event that was told to be a conflict always is', () => {
    const taken = honest({ variantsTaken: ['key-3'] });
    expect(judge(taken, false).faults.join()).toContain('with another payload taken beside the first: key-3');
    expect(isSound(judge(taken, true))).toBe(true);
    const refused = honest({ refused: new Map([['key-4', 'conflict']]) });
    expect(judge(refused, true).faults.join()).toContain('key-4 (conflict)');
    // Only where Redis was lost can a variant have come in between.
    const overtaken = honest({ refused: new Map([['key-4', 'conflict']]), variantsTaken: ['key-4'] });
    expect(judge(overtaken, true).faults).toEqual([]);
    expect(judge(overtaken, false).faults.join()).toContain('key-4 (conflict)');
  });

  it('[I5] an event that was accepted a second time is a fault, unless Redis was lost', () => {
    const forgotten = honest({ acceptedAgain: new Set(['key-5']) });
    expect(judge(forgotten, false).faults).toEqual(['1 accepted a second time: key-5']);
    expect(isSound(judge(forgotten, true))).toBe(true);
  });

  it('[I13] an invoice that is a cent or a unit off is found', () => {
    const { invoices, ...rest } = honest();
    for (const wrong of [{ amount: '20.01' }, { quantity: '2' }]) {
      const lines = (invoices.get('customer-0') ?? []).map((line, index) =>
        index === 0 ? { ...line, ...wrong } : line,
      );
      const verdict = judge({ ...rest, invoices: new Map([...invoices, ['customer-0', lines]]) }, false);
      expect(verdict.faults.join()).toContain('the invoice of customer-0 is not what its events imply');
    }
  });
});
