/** A quantity made again from events that were listed, one by one: what explanations are held against. */
import { createHash } from 'node:crypto';
import type { Meter, MeterDefinition } from '#schemas/meter.ts';
import { rankParts } from '#schemas/meter.ts';
import { parseQuantity } from '#schemas/quantity.ts';
import { finish } from '../../rater/aggregate/finish.ts';
import { type Ratio, unitsPerOne, whole } from '../../rater/aggregate/fragment.ts';
import { measureEvent } from '../../rater/aggregate/measure-event.ts';

/** As an answer lists it. */
export type ListedEvent = {
  readonly idempotency_key: string;
  readonly amendment_id: string | null;
  readonly event: string;
  readonly timestamp: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly sequence: string;
  readonly digest: string;
  readonly value: string | null;
};

type Value = { readonly units: bigint; readonly text: string; readonly atMs: number; readonly key: Buffer };

const sumOf = (values: readonly bigint[]): bigint => values.reduce((sum, value) => sum + value, 0n);

const percentileOf = (sorted: readonly bigint[], { percentile }: MeterDefinition): Ratio => {
  const parts = rankParts(percentile?.rank ?? '');
  const count = BigInt(sorted.length);
  const at = (place: bigint): bigint => sorted[Number(place)] as bigint;
  if (percentile?.method === 'nearest_rank') return whole(at((count * parts + 999_999n) / 1_000_000n - 1n));
  const [place, share] = [((count - 1n) * parts) / 1_000_000n, ((count - 1n) * parts) % 1_000_000n];
  const above = place + 1n < count ? place + 1n : place;
  return { numerator: at(place) * 1_000_000n + (at(above) - at(place)) * share, denominator: 1_000_000n };
};

const ratioOf = (
  meter: MeterDefinition,
  count: number,
  values: readonly Value[],
  span: { start: number; end: number },
): Ratio => {
  const units = values.map((value) => value.units);
  const sorted = units.toSorted((a, b) => (a < b ? -1 : 1));
  const byTime = values.toSorted((a, b) => a.atMs - b.atMs || Buffer.compare(a.key, b.key));
  switch (meter.aggregation) {
    case 'count':
      return whole(BigInt(count) * unitsPerOne);
    case 'sum':
      return whole(sumOf(units));
    case 'max':
      return whole(sorted.at(-1) ?? 0n);
    case 'min':
      return whole(sorted[0] ?? 0n);
    case 'unique':
      return whole(BigInt(new Set(values.map(({ text }) => text)).size) * unitsPerOne);
    case 'average':
      return { numerator: sumOf(units), denominator: BigInt(units.length) };
    case 'latest':
      return whole(byTime.at(-1)?.units ?? 0n);
    case 'percentile':
      return percentileOf(sorted, meter);
    case 'weighted_sum':
      return {
        numerator: sumOf(values.map((value) => value.units * BigInt(span.end - Math.max(span.start, value.atMs)))),
        denominator: BigInt(span.end - span.start),
      };
  }
};

export const quantityAgain = (
  meter: MeterDefinition,
  events: readonly ListedEvent[],
  span: { readonly start: number; readonly end: number },
): string | null => {
  const values = events.flatMap((one): Value[] => {
    const measured = measureEvent(meter, { event: one.event, properties: new Map(Object.entries(one.properties)) });
    if (!measured.counted) throw new Error(`${one.idempotency_key} does not count`);
    if (measured.value !== one.value) throw new Error(`${one.idempotency_key}: ${measured.value} and not ${one.value}`);
    if (measured.value === null) return [];
    const key = Buffer.from(
      one.amendment_id === null ? one.idempotency_key : `${one.idempotency_key}\0${one.amendment_id}`,
    );
    const units = meter.aggregation === 'unique' ? 0n : (parseQuantity(measured.value) as bigint);
    return [{ units, text: measured.value, atMs: Date.parse(one.timestamp), key }];
  });
  return finish(ratioOf(meter, events.length, values, span), meter as Meter);
};

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** As docs/explain.md tells it. */
export const contentHashAgain = (organizationId: string, events: readonly ListedEvent[]): string => {
  const sum = sumOf(
    events.map(({ idempotency_key: key, amendment_id: amendment, sequence }) => {
      const digest = sha256([organizationId, key, ...(amendment === null ? [] : [amendment])].join('\0'));
      return BigInt(`0x${sha256(`${digest.toString('hex').slice(0, 32)} ${sequence}`).toString('hex')}`);
    }),
  );
  return (sum % 2n ** 256n).toString(16).padStart(64, '0');
};
