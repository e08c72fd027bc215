/** The fuzzer of the parsers: that it is silent where nothing is wrong, and that it is not where something is. */
import { describe, expect, it } from 'vitest';
import { type Format, formats } from '../../fuzz/parsers/formats.ts';
import { fuzzParsers, type ProblemKind } from '../../fuzz/parsers/fuzz.ts';
import { type AcceptedEvent, type Decoded, horizons } from '../../fuzz/parsers/outcome.ts';
import { instantOf } from '../../fuzz/parsers/reference-event.ts';
import { plainDigits, readJson } from '../../fuzz/parsers/reference-json.ts';

const json = formats.find(({ name }) => name === 'json') as Format;
const seed = 20_261_121;
const cases = 5000;

const withEvents = (decoded: Decoded, change: (event: AcceptedEvent) => AcceptedEvent): Decoded =>
  decoded.outcome.kind === 'events'
    ? { ...decoded, outcome: { ...decoded.outcome, accepted: decoded.outcome.accepted.map(change) } }
    : decoded;

/** As a reader makes of a body that trusts JSON.parse. */
const withoutTwins = (body: Buffer): Buffer => {
  try {
    // Numbers lose nothing here that another fault would be found by: bodies with long ones stay as they are.
    return /\d{15}|[.eE-]/.test(body.toString('latin1'))
      ? body
      : Buffer.from(JSON.stringify(JSON.parse(body.toString())));
  } catch {
    return body;
  }
};

/** Production as it would be with a fault. */
const planted: Record<string, { readonly kind: ProblemKind; readonly production: Format['production'] }> = {
  'a number that loses its trailing zero': {
    kind: 'difference',
    production: (body, horizon) =>
      withEvents(json.production(body, horizon), (event) => ({
        ...event,
        properties: event.properties.map(
          ([path, text]) => [path, /^\d+0$/.test(text) ? text.slice(0, -1) : text] as const,
        ),
      })),
  },
  'a number of 16 digits that is taken': {
    kind: 'difference',
    production: (body, horizon) =>
      json.production(
        Buffer.from(body.toString('latin1').replace(/([:[ ]\d{15})[1-9](?=[,}\]])/g, '$1'), 'latin1'),
        horizon,
      ),
  },
  'milliseconds that are rounded': {
    kind: 'difference',
    production: (body, horizon) =>
      json.production(
        Buffer.from(body.toString('latin1').replace(/\.(\d\d)\d[5-9]\d*Z"/g, '.$19Z"'), 'latin1'),
        horizon,
      ),
  },
  'properties in the order in which they were sent': {
    kind: 'difference',
    production: (body, horizon) =>
      withEvents(json.production(body, horizon), (event) => ({ ...event, properties: event.properties.toReversed() })),
  },
  'a claim that depends on white space': {
    kind: 'paths',
    production: (body, horizon) => {
      const decoded = json.production(body, horizon);
      if (decoded.block && body.includes(' ')) decoded.block.claims.fill(0);
      return decoded;
    },
  },
  'a name that is there twice, of which the last counts': {
    kind: 'difference',
    production: (body, horizon) => json.production(withoutTwins(body), horizon),
  },
  'a byte order mark that is no JSON': {
    kind: 'difference',
    production: (body, horizon) =>
      body[0] === 0xef
        ? { outcome: { kind: 'malformed', reason: 'a byte order mark' } }
        : json.production(body, horizon),
  },
  'a leap second that is refused': {
    kind: 'difference',
    production: (body, horizon) =>
      json.production(Buffer.from(body.toString('latin1').replaceAll(':60', ':61'), 'latin1'), horizon),
  },
  'a fraction of 13 digits that is refused': {
    kind: 'difference',
    production: (body, horizon) =>
      json.production(Buffer.from(body.toString('latin1').replace(/(\.\d{13,}Z")/g, 'x$1'), 'latin1'), horizon),
  },
  'an exception': {
    kind: 'crash',
    production: (body, horizon) => {
      if (body.includes('\\u0000')) throw new Error('planted');
      return json.production(body, horizon);
    },
  },
};

const inWords = (body: Buffer): string => body.toString('utf8');

describe('the fuzzer of the parsers', () => {
  it('finds no difference in any format, over events that are taken and such that are not', () => {
    const { finding, stats } = fuzzParsers(formats, 2 * cases, seed);
    expect(finding).toBeUndefined();
    for (const [name, { cases: ofFormat, accepted, refused, malformed }] of stats) {
      expect(ofFormat, name).toBeGreaterThan(cases / formats.length);
      expect(accepted / ofFormat, name).toBeGreaterThan(0.2);
      expect(refused / ofFormat, name).toBeGreaterThan(0.2);
      // A broken line is the fault of that line: lines are never malformed as a whole.
      expect(malformed / ofFormat > 0.1, name).toBe(name !== 'ndjson');
    }
  });

  it.each(Object.entries(planted))('finds %s, and shows it small', (_what, { kind, production }) => {
    const { longWay, ...withoutLongWay } = json;
    const format = { ...withoutLongWay, production, ...(kind === 'paths' && longWay ? { longWay } : {}) };
    const { finding } = fuzzParsers([format], cases, seed);
    expect(finding?.problem).toMatchObject({ kind });
    expect(finding?.case.body.length, inWords(finding?.case.body ?? Buffer.alloc(0))).toBeLessThan(150);
  });

  it('makes the same run of the same seed', () => {
    const bodies = () => {
      const seen: string[] = [];
      const format: Format = {
        ...json,
        production: (body, horizon) => {
          seen.push(body.toString('base64'));
          return json.production(body, horizon);
        },
      };
      fuzzParsers([format], 200, seed);
      return seen;
    };
    expect(bodies()).toEqual(bodies());
  });
});

describe('the plain reader', () => {
  it.each([
    ['0', '0'],
    ['-0.00', '0'],
    ['1.50', '1.5'],
    ['1e5', '100000'],
    ['-12.5E-3', '-0.0125'],
    ['0.1', '0.1'],
    ['123456789012345', '123456789012345'],
    ['1234567890123456', '1234567890123456'],
    ['0.30000000000000004', '0.30000000000000004'],
    ['1234567890123450', '1234567890123450'],
    ['1e39', `1${'0'.repeat(39)}`],
    ['1e40', undefined],
    ['1e-52', `0.${'0'.repeat(51)}1`],
    ['1e-53', undefined],
    ['1E400', undefined],
    ['0e999', '0'],
  ])('reads the number %s as %s', (source, digits) => {
    expect(plainDigits(source)).toBe(digits);
  });

  it.each([
    ['2026-11-20T12:00:00Z', horizons.wide.nowMs],
    ['2026-11-20t13:00:00.0009999999999999999999999999+01:00', undefined],
    ['2026-11-20t13:00:00.000999999999999999999999+01:00', horizons.wide.nowMs],
    ['2026-11-30T23:59:60.5Z', Date.UTC(2026, 10, 30, 23, 59, 59, 500)],
    ['2026-12-01T00:59:60+01:00', Date.UTC(2026, 10, 30, 23, 59, 59)],
    ['2026-11-20T23:59:60Z', undefined],
    ['2026-11-20t13:00:00.000999999999+01:00', horizons.wide.nowMs],
    ['2026-11-20T12:00:00.1239Z', horizons.wide.nowMs + 123],
    ['1969-12-31T23:59:59.9999Z', -1],
    ['2026-11-20T12:00:60Z', undefined],
    ['2026-11-20T24:00:00Z', undefined],
    ['2023-02-29T00:00:00Z', undefined],
    ['2026-11-20T12:00:00', undefined],
    ['2026-11-20T12:00:00Z[UTC]', undefined],
  ])('reads the time %s as %s', (text, ms) => {
    expect(instantOf(text)).toBe(ms);
  });

  it('keeps numbers as they are written, and tells names that are there twice', () => {
    expect(readJson(' {"a" : [1.50, "\\u0061", {}], "b":null, "a":-0} ')).toEqual({
      kind: 'object',
      fields: new Map<string, unknown>([
        ['a', { kind: 'number', source: '-0' }],
        ['b', null],
      ]),
      twice: new Set(['a']),
    });
  });
});
