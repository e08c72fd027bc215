import { describe, expect, it } from 'vitest';
import { parseAmount } from '#schemas/money.ts';
import {
  type EngineRequest,
  engineAnswerFromJson,
  engineRequestToJson,
} from '../../../../invoicer/taxes/tax-engine.ts';

const request = {
  idempotencyKey: 'key',
  organizationId: 'org',
  customerId: 'cus',
  customer: {
    country: 'NO',
    state: null,
    taxIdCountries: [],
    treatment: 'taxable',
    exemptionReason: null,
    taxRateIds: [],
  },
  seller: { country: null },
  currency: 'NOK',
  issuedAt: Date.UTC(2027, 4, 1),
  lines: ['40.00', '-2.50'].map((amount, index) => ({
    position: index + 1,
    description: 'x',
    chargeCode: null,
    taxCategory: null,
    amount: parseAmount(amount),
  })),
} as EngineRequest;

const tax = {
  code: 'mva',
  name: 'MVA',
  percentage: '25',
  inclusive: false,
  treatment: 'taxed',
  taxable_amount: '40.00',
  amount: '10.00',
};
const second = { position: 2, taxes: [] };
const read = (lines: unknown) => engineAnswerFromJson({ lines }, request);
const withTax = (more: object) => read([{ position: 1, taxes: [{ ...tax, ...more }] }, second]);

describe('the answer of a tax engine', () => {
  it('is read by position, in whatever order it comes', () => {
    const answer = read([second, { position: 1, taxes: [tax] }]);
    expect(answer.get(2)).toEqual([]);
    expect(answer.get(1)).toMatchObject([
      { code: 'mva', taxRateId: null, percentage: 25_000_000n, treatment: 'taxed' },
    ]);
  });

  it('may say that a tax is in the amount of its line', () => {
    const within = { inclusive: true, taxable_amount: '32.00', amount: '8.00' };
    expect(withTax(within).get(1)).toMatchObject([{ inclusive: true }]);
    expect(() => withTax({ ...within, amount: '7.99' })).toThrow('are not its amount');
  });

  it.each<[string, unknown, RegExp]>([
    ['no list', 'no', /lines is no list/],
    ['a line too few', [second], /a line is missing/],
    ['a line twice', [second, second], /not asked for, or twice/],
    ['a line that was not asked for', [{ position: 3, taxes: [] }, second], /not asked for/],
    ['more lines than were asked for', [second, second, second], /lines is no list of at most 2/],
    ['a line without taxes', [{ position: 1 }, second], /taxes is no list/],
    ['a number for a position in text', [{ position: '1', taxes: [] }, second], /not asked for/],
  ])('is refused with %s', (_, lines, words) => {
    expect(() => read(lines)).toThrow(words);
  });

  it.each<[object, RegExp]>([
    [{ amount: '10.001' }, /amount is no amount of NOK/],
    [{ amount: 10 }, /amount is no printable text/],
    [{ taxable_amount: '1e3' }, /taxable_amount is no amount/],
    [{ percentage: '101' }, /percentage is none/],
    [{ inclusive: 'no' }, /inclusive is not/],
    [{ treatment: 'untaxed' }, /treatment is none of|only what is taxed/],
    [{ treatment: 'exempt' }, /only what is taxed has an amount/],
    [{ code: '' }, /code is no printable text/],
    [{ name: 'a\nb' }, /name is no printable text/],
  ])('is refused with %j', (more, words) => {
    expect(() => withTax(more)).toThrow(words);
  });
});

it('a request says amounts as they are printed', () => {
  expect(engineRequestToJson(request)).toMatchObject({
    issued_at: '2027-05-01T00:00:00.000Z',
    lines: [{ amount: '40.00' }, { amount: '-2.50' }],
  });
});
