/** Quantities for many that ask of the same time of the same customer: each such span is read once. Pure. */
import type { MeasuredSpan, Quantities, QuantityQuery } from '../aggregate/quantity-query.ts';

const keyOf = ({ customers, period }: MeasuredSpan): string => JSON.stringify([customers, period.start, period.end]);

/** Reads by one span for all that are alike, and tells each of them. */
export const readSharedSpans =
  (read: (query: QuantityQuery) => Promise<Quantities>) =>
  async (query: QuantityQuery): Promise<Quantities> => {
    const alike = Map.groupBy(query.spans, keyOf);
    const firsts = [...alike.values()].flatMap(([first]) => (first ? [first] : []));
    const quantities = await read({ ...query, spans: firsts });
    return new Map(
      [...alike.values()].flatMap((spans) => {
        const found = quantities.get(spans[0]?.spanId ?? '');
        return found ? spans.map(({ spanId }) => [spanId, found] as const) : [];
      }),
    );
  };
