/** Rows of usage by where they lie in the store, as a parameter of a statement of ClickHouse. Pure. */
import type { EventPlace } from '#schemas/amendment.ts';

/** The places of `placeParams` as a subquery: event, customer, day and digest. */
export const placesSql = `(SELECT p.1, p.2, toDate(fromUnixTimestamp64Milli(p.3, 'UTC')), toFixedString(unhex(p.4), 16)
  FROM (SELECT arrayJoin(arrayZip({placeEvents:Array(String)}, {placeCustomers:Array(String)},
    {placeTimes:Array(Int64)}, {placeDigests:Array(String)})) AS p))`;

const encodedBytes = (text: string): number => encodeURIComponent(text).length + 9;

/** Runs of places whose parameters are within their bounds. */
export const runsOfPlaces = <P extends EventPlace>(places: readonly P[]): P[][] => {
  const runs: P[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const place of places) {
    const more = Math.max(encodedBytes(place.event), encodedBytes(place.customer), 50);
    if (bytes + more > 100_000) {
      runs.push([]);
      bytes = 0;
    }
    runs.at(-1)?.push(place);
    bytes += more;
  }
  return runs;
};

export const placeParams = (places: readonly EventPlace[]) => ({
  placeEvents: places.map(({ event }) => event),
  placeCustomers: places.map(({ customer }) => customer),
  placeTimes: places.map(({ occurredAtMs }) => occurredAtMs),
  placeDigests: places.map(({ digest }) => digest.toString('hex')),
});
