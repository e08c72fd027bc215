/** What discounts of drafts and previews go by, in the transaction of a request. */
import type { DiscountedInvoices, DiscountFacts } from '../../invoicer/discounts/discount-facts.ts';
import { readDiscountFacts, type UnwrittenPeriods } from '../../invoicer/discounts/read-discount-facts.ts';
import type { Db } from '../route/define-route.ts';

/** Undefined where nothing has discounts. */
export const discountFacts = (
  db: Db,
  invoices: DiscountedInvoices,
  unwritten?: UnwrittenPeriods,
): Promise<DiscountFacts | undefined> =>
  readDiscountFacts(
    async <Row>(statement: string, values: unknown[]) => {
      const { rows } = await db.query(statement, values);
      return rows as Row[];
    },
    invoices,
    unwritten,
  );
