/** [I32] Which deltas of what somebody credited are only reported. */
import { expect, it } from 'vitest';
import { type Amount, parseStoredAmount } from '#schemas/money.ts';
import { handCreditsFromRows, isForSomebody } from '../../../../invoicer/corrections/hand-credits.ts';

const amount = (text: string): Amount => parseStoredAmount(text) as Amount;
const line = (chargeCode: string, text: string, off = '0') => ({
  chargeCode,
  amount: amount(text),
  discounts: off === '0' ? [] : [{ discountId: 'dis_1', couponId: 'cpn_1', name: 'Off', amount: amount(off) }],
});
const calls = (isLeft: boolean, isGivenUp = false) => ({ isGivenUp, isLeft: new Map([['calls', isLeft]]) });

it.each([
  ['more of a charge that was credited in part', [line('calls', '2')], calls(true), false],
  ['less of it', [line('calls', '-2')], calls(true), true],
  ['more of one that was credited whole', [line('calls', '2')], calls(false), true],
  ['less of a charge that nobody credited', [line('texts', '-2')], calls(true), false],
  ['less of that, and more of the credited one', [line('texts', '-2'), line('calls', '3')], calls(true), false],
  ['more of that, and less of the credited one', [line('texts', '2'), line('calls', '-3')], calls(true), true],
  ['another discount of the credited one alone', [line('calls', '0', '-1')], calls(true), true],
  ['more, of which a discount takes all', [line('calls', '2', '2')], calls(true), true],
  ['more, of which a discount takes some', [line('calls', '2', '1.5')], calls(true), false],
  ['more of anything, where nothing is left', [line('texts', '2')], calls(true, true), true],
  ['nothing', [], calls(false, true), false],
] as const)('%s is told apart: %o', (_name, lines, credited, isReported) => {
  expect(isForSomebody(lines, credited)).toBe(isReported);
});

it('a charge is left where each of its lines that were credited is', () => {
  const rows = [
    {
      delta_id: 'bpd_1',
      is_given_up: false,
      lines: [
        [{ code: 'calls', isLeft: true }],
        null,
        [
          { code: 'calls', isLeft: false },
          { code: 'a', isLeft: true },
        ],
      ],
    },
  ];
  expect(handCreditsFromRows(rows)).toEqual(
    new Map([
      [
        'bpd_1',
        {
          isGivenUp: false,
          isLeft: new Map([
            ['calls', false],
            ['a', true],
          ]),
        },
      ],
    ]),
  );
});
