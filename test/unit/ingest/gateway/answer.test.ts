import { describe, expect, it } from 'vitest';
import { type Outcomes, type Status, statuses } from '../../../../ingest/gateway/accept-events.ts';
import {
  addToTally,
  addWarnings,
  answerOfTally,
  countsOf,
  type EventResult,
  judged,
  newTally,
  validationOf,
  warningsMax,
} from '../../../../ingest/gateway/answer.ts';
import type { EventBlock } from '../../../../ingest/parse/event-block.ts';
import { blockOf, event, setUpGateway, startMs } from '../../../support/memory-gateway.ts';
import { eventWith, readBody } from '../../../support/read-body.ts';

/** The answer to a request that came in one block. */
const answerOf = (block: EventBlock, outcomes: Outcomes, everyResult = false) => {
  const tally = newTally();
  addToTally(tally, block, outcomes, countsOf(outcomes), { everyResult, keyField: 'idempotency_key' });
  return answerOfTally(tally, 'req_1');
};

/** The answer to events with these statuses. */
const answerTo = (found: readonly Status[], everyResult = false, faults: Outcomes['faults'] = new Map()) => {
  const block = blockOf(
    found.map((_, index) => event(`k${index}`)),
    startMs,
  );
  const outcomes: Outcomes = { statuses: found, faults };
  const answer = answerOf(block, outcomes, everyResult);
  return { ...answer, body: JSON.parse(answer.body) };
};

/** The answer of a dry run of blocks. */
const dryRun = (blocks: readonly EventBlock[], keyField = 'idempotency_key') => {
  const tally = newTally();
  const asked = { everyResult: false, keyField };
  for (const block of blocks) {
    const outcomes = judged(block);
    addToTally(tally, block, outcomes, countsOf(outcomes), asked);
    addWarnings(tally, block, asked);
  }
  return JSON.parse(validationOf(tally));
};

const blockWith = (...properties: string[]): EventBlock => {
  const body = readBody(`[${properties.map((one, index) => eventWith(one).replace('req-1', `req-${index}`)).join()}]`);
  if (body.kind !== 'events') throw new Error('refused');
  return body.block;
};

describe('a dry run', () => {
  it('warns of texts that read as numbers and that no meter can measure, and refuses nothing', () => {
    const digits = '1'.repeat(60);
    const first = blockWith('{"a":"12","b":"1e5"}', `{"a":"1e400","x":{"y":"${digits}"}}`, '{"a":7e400}');
    const answer = dryRun([first, blockWith('{"z":"-0.5e-60"}')]);
    expect(answer).toMatchObject({ valid: 3, rejected: 1 });
    const message = expect.stringContaining('no meter can measure it');
    expect(answer.warnings).toEqual([
      { index: 1, idempotency_key: 'req-1', field: 'properties.a', code: 'never_measured', message },
      { index: 1, idempotency_key: 'req-1', field: 'properties.x.y', code: 'never_measured', message },
      { index: 3, idempotency_key: 'req-0', field: 'properties.z', code: 'never_measured', message },
    ]);
    expect(dryRun([first], 'id').warnings[0]).toMatchObject({ field: 'data.a' });
  });

  it.each(['', 'x', '1e', '1e400x', ' 1e400', '0x10', '+1', '.5', '1_000', 'NaN', '1e40000 ', '0e9', '1'.repeat(40)])(
    'warns of no text that is a word or can be measured: %j',
    (text) => {
      expect(dryRun([blockWith(`{"a":${JSON.stringify(text)}}`)]).warnings).toEqual([]);
    },
  );

  it('warns a hundred times at most', () => {
    const block = blockWith(...Array(70).fill('{"a":"1e400","b":"1e400"}'));
    expect(dryRun([block, block]).warnings).toHaveLength(warningsMax);
  });
});

describe('the status of an answer', () => {
  it.each<[number, string | undefined, Status[]]>([
    [200, undefined, []],
    [200, undefined, ['accepted']],
    [200, undefined, ['duplicate']],
    [200, undefined, ['accepted', 'duplicate', 'conflict', 'invalid', 'too_old', 'in_future']],
    [200, undefined, ['invalid', 'duplicate']],
    [422, 'EVENTS_REJECTED', ['invalid']],
    [422, 'EVENTS_REJECTED', ['invalid', 'conflict', 'too_old', 'in_future']],
    [409, 'IDEMPOTENCY_CONFLICT', ['conflict']],
    [409, 'IDEMPOTENCY_CONFLICT', ['conflict', 'conflict']],
    [503, 'EVENTS_NOT_FINAL', ['in_flight']],
    [503, 'EVENTS_NOT_FINAL', ['accepted', 'accepted', 'in_flight']],
    [503, 'EVENTS_NOT_FINAL', ['conflict', 'in_flight']],
  ])('is %i %s for %j', (status, code, found) => {
    expect(answerTo(found)).toMatchObject({ status, code });
  });

  it('[I1] is 2xx for no selection of outcomes that has one that is not final, and never where nothing was taken', () => {
    for (let selection = 1; selection < 2 ** statuses.length; selection += 1) {
      const found = statuses.filter((_, index) => (selection >> index) % 2 === 1);
      const isFinal = !found.includes('unavailable') && !found.includes('in_flight');
      const isTaken = found.includes('accepted') || found.includes('duplicate');
      const { status } = answerTo(found);
      expect(status === 200, found.join()).toBe(isFinal && isTaken);
      if (!isFinal) expect(status, found.join()).toBe(503);
    }
  });

  it('is 503 and names the part that is away', () => {
    const faults = new Map([[1, [{ field: 'nats', code: 'unavailable' as const, message: 'is away' }]]]);
    const { status, code, body } = answerTo(['accepted', 'unavailable'], false, faults);
    expect([status, code]).toEqual([503, 'DEPENDENCY_UNAVAILABLE']);
    expect(body.detail).toMatch(/NATS/);
    expect(body.detail).not.toMatch(/Redis/);
  });
});

describe('what an answer lists', () => {
  it('is nothing where all was accepted, and everything where that is asked for', () => {
    expect(answerTo(['accepted', 'accepted']).body).toEqual({
      accepted: 2,
      duplicates: 0,
      conflicts: 0,
      rejected: 0,
      results: [],
    });
    expect(answerTo(['accepted', 'accepted'], true).body.results).toEqual([
      { index: 0, idempotency_key: 'k0', status: 'accepted', errors: [] },
      { index: 1, idempotency_key: 'k1', status: 'accepted', errors: [] },
    ]);
  });

  it('is otherwise each event that was not accepted, with its place and its key where it has one', async () => {
    const { accept, send } = setUpGateway();
    await send([event('known'), event('other')]);
    const events = [
      event('new'),
      event('known'),
      event('other', { customer_id: 'x' }),
      event('', {}),
      event('bad', { event: 5 }),
      5,
    ];
    const { statuses: found, faults } = await accept(events);
    const outcomes: Outcomes = { statuses: found, faults: new Map(faults.entries()) };
    const { status, body } = answerOf(blockOf(events, startMs), outcomes);
    expect(status).toBe(200);
    const { results, ...summary } = JSON.parse(body);
    expect(summary).toEqual({ accepted: 1, duplicates: 1, conflicts: 1, rejected: 3 });
    expect(results.map(({ index, idempotency_key: key, status: of }: EventResult) => [index, key, of])).toEqual([
      [1, 'known', 'duplicate'],
      [2, 'other', 'conflict'],
      [3, null, 'invalid'],
      [4, 'bad', 'invalid'],
      [5, null, 'invalid'],
    ]);
    expect(results[3].errors).toMatchObject([{ field: 'event', code: 'wrong_type' }]);
  });

  it('names the fields of all faults by the place of their event, up to 1,000', () => {
    const fault = (field: string) => [{ field, code: 'missing' as const, message: 'is required' }];
    const faults = new Map([
      [2, fault('')],
      [0, fault('event')],
    ]);
    const { body } = answerTo(['invalid', 'conflict', 'invalid'], false, faults);
    expect(body.errors.map(({ field }: { field: string }) => field)).toEqual(['events[0].event', 'events[2]']);
    const many = new Map(Array.from({ length: 1_001 }, (_, index) => [index, fault('event')] as const));
    expect(answerTo(new Array<Status>(1_001).fill('invalid'), false, many).body.errors).toHaveLength(1_000);
  });
});
