import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { allowedQuoteActions, type QuoteState, quoteStateAt, quoteStates } from '#schemas/quote-state.ts';

describe('the state of a quote', () => {
  it.each([
    ['draft', 99, 'draft'],
    ['draft', 100, 'draft'],
    ['sent', 99, 'sent'],
    ['sent', 100, 'expired'],
    ['accepted', 100, 'accepted'],
    ['declined', 100, 'declined'],
    ['canceled', 100, 'canceled'],
  ] as const)('that is written down as %s and valid until 100 is at %i %s', (state, now, expected) => {
    expect(quoteStateAt({ state, validUntil: 100 }, now)).toBe(expected);
  });

  it('allows what the table of the documents says', () => {
    const text = readFileSync(new URL('../../../docs/quotes.md', import.meta.url), 'utf8');
    const stored = (state: QuoteState) => (state === 'expired' ? ('sent' as const) : state);
    for (const state of quoteStates) {
      const row = text.split('\n').find((line) => line.startsWith(`| \`${state}\``)) ?? '';
      const told = [...(row.split('|')[3] ?? '').matchAll(/`(\w+)`/g)].map(([, action]) => action);
      const allowed = allowedQuoteActions({ state: stored(state), validUntil: 100 }, state === 'expired' ? 100 : 99);
      expect(told, state).toEqual(allowed);
    }
  });
});
