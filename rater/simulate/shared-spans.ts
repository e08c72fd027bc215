/** Quantities for many that ask of the same time of the same customer: each such span is read once. Pure. */
import type { MeasuredSpan } from '../aggregate/covered-spans.ts';
import type { Quantities, QuantityQuery } from '../aggregate/quantity-query.ts';

const keyOf = ({ customers, period }: MeasuredSpan): string => JSON.stringify([customers, period.start, period.end]);

/** A query with one span for all that are alike, and how its answer is told to each of them. */
export const sharedSpans = (
  query: QuantityQuery,
): { readonly query: QuantityQuery; readonly toEach: (quantities: Quantities) => Quantities } => {
  const alike = [...Map.groupBy(query.spans, keyOf).values()];
  const firstOf = new Map(alike.flatMap((spans) => spans.map(({ spanId }) => [spanId, spans[0]?.spanId ?? spanId])));
  return {
    query: {
      ...query,
      spans: alike.flatMap(([first]) => (first ? [first] : [])),
      measures: query.measures.map(({ spanIds, ...measure }) => ({
        ...measure,
        ...(spanIds && { spanIds: new Set([...spanIds].map((spanId) => firstOf.get(spanId) ?? spanId)) }),
      })),
    },
    toEach: (quantities) =>
      new Map(
        alike.flatMap((spans) => {
          const found = quantities.get(spans[0]?.spanId ?? '');
          return found ? spans.map(({ spanId }) => [spanId, found] as const) : [];
        }),
      ),
  };
};
