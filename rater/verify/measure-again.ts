/**
 * The use case of verifying quantities: billed billing periods are measured again from events, at the watermark that
 * they are billed at, and held against what their lines say, and against what totals say of that watermark by now. A
 * page of periods is all that is held at a time.
 */
import type { Measured, Quantities, QuantityQuery } from '../aggregate/quantity-query.ts';
import type { MeasurePorts } from '../run/rate-period.ts';
import { quantityDifferences } from './line-differences.ts';
import {
  type Asked,
  type Fault,
  nameOf,
  type PageReport,
  policiesOf,
  type RateAgainPorts,
  rateAgain,
  verifyPages,
  wholeFault,
} from './rate-again.ts';

export type MeasureAgainPorts = Omit<RateAgainPorts, 'readQuantities'> & {
  readonly fromEvents: MeasurePorts['readQuantities'];
  readonly fromTotals: MeasurePorts['readQuantities'];
};

/** What is not told was not used. */
const nothing: Measured = { quantity: '0', unmeasuredEvents: 0n };

const textOf = ({ quantity, unmeasuredEvents }: Measured): string =>
  unmeasuredEvents === 0n ? quantity : `${quantity} beside ${unmeasuredEvents} unmeasured events`;

/**
 * By span, which is a billing period or a part of it, and meter. What is measured in parts is never of totals. What a
 * measure was not asked for comes along where that costs nothing, and is nothing to compare.
 */
const totalsFaults = ({ spans, measures }: QuantityQuery, events: Quantities, totals: Quantities): Fault[] =>
  spans.flatMap(({ spanId }) =>
    measures.flatMap(({ measureId, meter, spanIds }) => {
      if (spanIds && !spanIds.has(spanId)) return [];
      const [fromTotals, fromEvents] = [totals, events].map((all) =>
        textOf(all.get(spanId)?.get(measureId) ?? nothing),
      ) as [string, string];
      return fromTotals === fromEvents
        ? []
        : [
            {
              of: `(${spanId} ${meter.code})`,
              difference: { field: 'totals', stored: fromTotals, recomputed: fromEvents },
            },
          ];
    }),
  );

export const verifyQuantities = (ports: MeasureAgainPorts, asked: Asked): AsyncGenerator<PageReport> =>
  verifyPages(ports, asked, async (periods) => {
    const stored = await ports.storedLines(asked.organizationId, periods);
    const faults: Fault[] = [];
    const readQuantities = async (query: QuantityQuery): Promise<Quantities> => {
      const events = await ports.fromEvents(query);
      faults.push(...totalsFaults(query, events, await ports.fromTotals(query)));
      return events;
    };
    const again = await rateAgain(
      { catalog: ports.catalog, readQuantities },
      asked.organizationId,
      periods,
      policiesOf(stored.rated),
    );
    for (const rated of stored.rated) {
      const of = `${rated.id} (${nameOf(rated)})`;
      const same = again.get(nameOf(rated));
      if (same) faults.push(...quantityDifferences(rated, same).map((difference) => ({ of, difference })));
      else faults.push(wholeFault(of, 'is there', 'nothing'));
      again.delete(nameOf(rated));
    }
    for (const name of again.keys()) faults.push(wholeFault(`(${name})`, 'nothing', 'is there'));
    return { lines: stored.rated.length, unhashed: 0, faults };
  });
