import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockWriter, type EventBlock } from '../../../../ingest/parse/event-block.ts';
import { seedsOf } from '../../../../ingest/parse/key-hash.ts';
import { parseNativeBody } from '../../../../ingest/parse/native.ts';
import { type LineLimits, LineReader } from '../../../../ingest/parse/ndjson.ts';

const nowMs = Date.UTC(2026, 10, 20, 12);
const horizon = { nowMs, pastMsMax: 35 * 86_400_000, futureMsMax: 300_000 };
const origin = { tenant: 'org_1', seeds: seedsOf('a secret of tests', 'org_1'), receivedAtMs: nowMs };
const open = () => ({ writer: new BlockWriter(origin, 512), horizon, receivedAtMs: nowMs });
const limits: LineLimits = { blockEventsMax: 100, blockBytesMax: 100_000, lineBytesMax: 10_000, eventsMax: 1_000 };

const readerOf = (replaced: Partial<LineLimits> = {}) => new LineReader(open, { ...limits, ...replaced });
const readAll = (chunks: readonly Buffer[], replaced: Partial<LineLimits> = {}): EventBlock[] => {
  const reader = readerOf(replaced);
  return [...chunks.flatMap((chunk) => reader.push(chunk)), ...reader.end()].map(({ block }) => block);
};
const read = (text: string | Buffer, replaced: Partial<LineLimits> = {}): EventBlock => {
  const [block, ...more] = readAll([Buffer.from(text as string)], replaced);
  expect(more).toEqual([]);
  return block as EventBlock;
};

const event = (key: string, replaced: Record<string, unknown> = {}) => ({
  idempotency_key: key,
  event: 'llm.request',
  customer_id: 'acme',
  timestamp: '2026-11-20T11:00:00Z',
  properties: { tokens: 12 },
  ...replaced,
});
const linesOf = (events: readonly unknown[]): string => events.map((one) => `${JSON.stringify(one)}\n`).join('');
const asJson = (events: readonly unknown[]): EventBlock => {
  const { writer } = open();
  parseNativeBody(Buffer.from(JSON.stringify(events)), writer, horizon, 1_000);
  return writer.done();
};

describe('lines of JSON', () => {
  const events = [
    event('a'),
    event('ü😀', { properties: { 'é"\\': 'x\ny' } }),
    event('c', { timestamp: null }),
    event(''),
    event('e'),
  ];

  it('are the events that an array of them is, wherever the bytes are cut', () => {
    const expected = asJson(events);
    const body = Buffer.from(linesOf(events));
    fc.assert(
      fc.property(fc.array(fc.nat(body.length), { maxLength: 12 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), body.length];
        const chunks = at.slice(1).map((to, index) => body.subarray(at[index], to));
        expect(readAll(chunks)).toEqual([expected]);
      }),
    );
    expect(readAll([...body].map((byte) => Buffer.from([byte])))).toEqual([expected]);
  });

  it('need no newline behind the last one, and blank ones are none', () => {
    const expected = asJson([event('a'), event('b')]);
    for (const text of [
      linesOf([event('a'), event('b')]).trimEnd(),
      `\n\r\n  \t\n${JSON.stringify(event('a'))}  \r\n\n\t${JSON.stringify(event('b'))}\r\n\r\n`,
    ])
      expect(read(text)).toEqual(expected);
    expect(readAll([])).toEqual([]);
    expect(readAll([Buffer.from('\n \n')])).toEqual([]);
  });

  it.each([
    ['no JSON', '{"idempotency_key":', 'not_json'],
    ['text behind an event', `${JSON.stringify(event('x'))} {}`, 'not_json'],
    ['two events', `${JSON.stringify(event('x'))}${JSON.stringify(event('y'))}`, 'not_json'],
    ['an array', JSON.stringify([event('x')]), 'wrong_type'],
    ['a number', '17', 'wrong_type'],
    ['a batch', JSON.stringify({ events: [event('x')] }), 'missing'],
    ['a name given twice', `{"event":"a",${JSON.stringify(event('x')).slice(1)}`, 'duplicate'],
    ['a byte order mark that does not begin the body', `\ufeff${JSON.stringify(event('x'))}`, 'not_json'],
    ['brackets 9,000 deep', '['.repeat(9_000), 'too_deep'],
    ['an open string that the next line would close', '{"idempotency_key":"', 'not_json'],
    ['too many bytes', `"${'x'.repeat(20_000)}"`, 'too_large'],
  ])('with %s are the fault of that line, and the others are taken', (_name, line, code) => {
    const block = read(`${linesOf([event('a')])}${line}\n${linesOf([event('b')])}`);
    expect(block.places.length + block.rejected.length).toBe(3);
    expect(block.places).toEqual([0, 2]);
    expect(block.rejected).toMatchObject([{ place: 1, status: 'invalid' }]);
    expect(block.rejected[0]?.faults[0]).toMatchObject({ code });
  });

  it('that are no UTF-8 are the fault of that line', () => {
    const bad = Buffer.from(linesOf([event('\u00ff')]), 'latin1');
    const block = read(Buffer.concat([Buffer.from(linesOf([event('a')])), bad, Buffer.from(linesOf([event('b')]))]));
    expect(block.places).toEqual([0, 2]);
    expect(block.rejected).toMatchObject([{ place: 1, faults: [{ code: 'wrong_format' }] }]);
  });

  it('[I27] a line without an end is held up to its limit, and no further', () => {
    const reader = readerOf();
    for (let chunk = 0; chunk < 1_000; chunk += 1) expect(reader.push(Buffer.alloc(1_000, 0x78))).toEqual([]);
    reader.push(Buffer.from(`\n${linesOf([event('a')])}`));
    expect(reader.end().map(({ block }) => [block.places, block.rejected.map(({ place }) => place)])).toEqual([
      [[1], [0]],
    ]);
  });
});

describe('blocks of lines', () => {
  const many = Array.from({ length: 250 }, (_, index) => event(`k${index}`));

  it('are full with so many events, and begin where the one before ended', () => {
    const blocks = readAll([Buffer.from(linesOf(many))]);
    expect(blocks.map(({ total }) => total)).toEqual([100, 100, 50]);
    expect(Buffer.concat(blocks.map(({ rows }) => rows)).equals(asJson(many).rows)).toBe(true);
  });

  it('are full with so many bytes', () => {
    const line = linesOf([event('k0')]).length;
    const blocks = readAll([Buffer.from(linesOf(many.slice(0, 8)))], { blockBytesMax: 3 * line - 3 });
    expect(blocks.map(({ total }) => total)).toEqual([3, 3, 2]);
  });

  it('are there as soon as their last line is', () => {
    const reader = readerOf({ blockEventsMax: 2 });
    expect(reader.push(Buffer.from(linesOf([event('a')])))).toEqual([]);
    expect(reader.push(Buffer.from(JSON.stringify(event('b'))))).toEqual([]);
    expect(reader.push(Buffer.from('\n'))).toMatchObject([{ block: { total: 2 } }]);
    expect(reader.end()).toEqual([]);
  });

  it('end with the limit of a request: what stands behind it is not read', () => {
    const reader = readerOf({ eventsMax: 150 });
    const blocks = reader.push(Buffer.from(linesOf(many)));
    expect(blocks.map(({ block }) => block.total)).toEqual([100]);
    expect(reader.isTooLong).toBe(true);
    const exact = readerOf({ eventsMax: 250 });
    exact.push(Buffer.from(linesOf(many)));
    expect(exact.isTooLong).toBe(false);
  });
});
