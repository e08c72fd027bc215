/** `/v1/quote-links/{token}`: a quote for the customer who has its link, and no key. */
import type { Caller } from '#platform/access/authenticate.ts';
import { linkScope } from '#platform/access/authenticate-link.ts';
import { QuoteAcceptance, QuoteLinkToken, QuoteOffer, QuoteRefusal } from '#schemas/http/quotes.ts';
import type { Routes } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import { acceptQuote, declineQuote } from './quote-life.ts';
import { quoteOffer } from './quote-offer.ts';
import { acceptanceChanges, acceptFailures, lockedQuote, type QuotePorts, quoteChange } from './quote-routes.ts';

/** The guard let nobody in whose link is to no quote. */
const linkedTo = ({ linkedTo: id }: Caller): string => found(id, 'QUOTE_LINK_NOT_FOUND');

export const quoteLinkRoutes = ({ get, change }: Routes, ports: QuotePorts): void => {
  const url = '/v1/quote-links/:token';
  const link = { tag: 'Quotes', scope: linkScope, byLink: true, params: QuoteLinkToken } as const;

  get(
    {
      ...link,
      url,
      operation: 'getQuoteByLink',
      summary: 'See a quote as its customer',
      answers: { 200: QuoteOffer },
      failures: ['QUOTE_LINK_NOT_FOUND'],
    },
    async ({ db, caller, nowMs }) => {
      const quote = found(await ports.quotes.quote(db, linkedTo(caller)), 'QUOTE_LINK_NOT_FOUND');
      return quoteOffer(ports, db, quote, { hourMs: nowMs, world: caller.world });
    },
  );

  change(
    {
      ...link,
      method: 'POST',
      rateClass: 'write',
      url: `${url}/accept`,
      operation: 'acceptQuoteByLink',
      summary: 'Accept a quote as its customer: the subscription begins',
      body: QuoteAcceptance,
      answers: { 200: QuoteOffer },
      failures: ['QUOTE_LINK_NOT_FOUND', ...acceptFailures],
    },
    async ({ db, caller, body, nowMs }) => {
      const before = await lockedQuote(ports, db, linkedTo(caller));
      const at = { hourMs: nowMs, world: caller.world };
      const accepted = await acceptQuote(ports, db, before, body.accepted_by, at);
      return {
        body: await quoteOffer(ports, db, accepted.quote, at),
        changes: acceptanceChanges(before, accepted, nowMs),
        isUnchanged: accepted.made === undefined,
      };
    },
  );

  change(
    {
      ...link,
      method: 'POST',
      rateClass: 'write',
      url: `${url}/decline`,
      operation: 'declineQuoteByLink',
      summary: 'Decline a quote as its customer',
      body: QuoteRefusal,
      answers: { 200: QuoteOffer },
      failures: ['QUOTE_LINK_NOT_FOUND', 'CUSTOMER_NOT_FOUND', 'CUSTOMER_ERASED', 'QUOTE_STATE_CONFLICT'],
    },
    async ({ db, caller, body, nowMs }) => {
      const before = await lockedQuote(ports, db, linkedTo(caller));
      const at = { hourMs: nowMs, world: caller.world };
      const { quote, changes } = await declineQuote(ports, db, before, body.reason, at);
      return {
        body: await quoteOffer(ports, db, quote, at),
        changes: [quoteChange('declined', before, quote), ...changes],
      };
    },
  );
};
