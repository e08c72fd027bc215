/**
 * What state a quote is in, and what can be done with it then: one table. That it has expired follows from its time
 * and the hour, so nobody has to write it down. Pure.
 */
import type { Instant } from '#schemas/period.ts';

export const quoteStates = ['draft', 'sent', 'accepted', 'declined', 'expired', 'canceled'] as const;
export type QuoteState = (typeof quoteStates)[number];

/** As it is written down. */
export type StoredQuoteState = Exclude<QuoteState, 'expired'>;

export type QuoteLife = {
  readonly state: StoredQuoteState;
  /** From this instant on a quote that was sent is none any more. */
  readonly validUntil: Instant;
};

/** The filter of lists says the same in SQL (api/quotes/quotes.postgres.ts). */
export const quoteStateAt = ({ state, validUntil }: QuoteLife, now: Instant): QuoteState =>
  state === 'sent' && validUntil <= now ? 'expired' : state;

export const quoteActions = ['update', 'send', 'accept', 'decline', 'cancel', 'revise'] as const;
export type QuoteAction = (typeof quoteActions)[number];

/** The table of docs/quotes.md. */
const allowedIn: Readonly<Record<QuoteState, readonly QuoteAction[]>> = {
  draft: ['update', 'send', 'cancel'],
  sent: ['accept', 'decline', 'cancel', 'revise'],
  accepted: [],
  declined: ['revise'],
  expired: ['revise'],
  canceled: ['revise'],
};

export const allowedQuoteActions = (quote: QuoteLife, now: Instant): readonly QuoteAction[] =>
  allowedIn[quoteStateAt(quote, now)];
