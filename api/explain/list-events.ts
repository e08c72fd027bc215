/** The use case of listing the events of a line: a page of them, with what the meter reads from each. */
import assert from 'node:assert/strict';
import { FailureError } from '#schemas/failures.ts';
import { measureEvent } from '../../rater/aggregate/measure-event.ts';
import type { StoredEvent } from '../events/events.clickhouse.ts';
import { digestOf, newestInSpans, storedEventJson } from '../events/search-events.ts';
import type { Cursors } from '../route/cursors.ts';
import type { LineEvents } from './line-events.clickhouse.ts';
import { type LineQuery, stretchOf } from './line-query.ts';

export type ListedEvent = {
  readonly stored: StoredEvent;
  readonly value: string | null;
  /** Where changes are asked for. */
  readonly change?: 'added' | 'removed';
};
export type ListedPage = { readonly events: readonly ListedEvent[]; readonly nextCursor: string | undefined };

const readCursor = (scope: string, cursor: string, cursors: Cursors) => {
  const position = cursors.read(scope, cursor);
  if (!position) {
    const message = 'must be a next_cursor of the events of this line';
    throw new FailureError('BAD_REQUEST', undefined, [{ field: 'cursor', code: 'wrong_format', message }]);
  }
  const [digest = '', sequence = '0'] = position.id.split(' ');
  return { occurredAtMs: Number(position.value), digest, sequence: BigInt(sequence) };
};

/** All pages are as of the watermark of the line, so nothing moves between them. */
export const listEvents = async (
  lineId: string,
  query: LineQuery,
  { limit, cursor }: { readonly limit: number; readonly cursor: string | undefined },
  ports: { readonly lineEvents: Pick<LineEvents, 'page'>; readonly cursors: Cursors },
): Promise<ListedPage> => {
  const { since } = query;
  const changes = since === undefined ? [] : [since.toString()];
  const scope = JSON.stringify(['events of a line', query.tenant, lineId, ...changes]);
  const before = cursor === undefined ? undefined : readCursor(scope, cursor, ports.cursors);
  const found = await newestInSpans({ ...query, ...stretchOf(query), before, limit: limit + 1 }, ports.lineEvents.page);
  const shown = found.slice(0, limit);
  const last = shown.at(-1);
  return {
    events: shown.map((stored) => {
      const { event, properties } = stored.event;
      const measured = measureEvent(query.meter, { event, properties: new Map(properties) });
      assert(measured.counted, 'what the store counts, the code counts');
      const change = since !== undefined && stored.sequence <= since ? 'removed' : 'added';
      return { stored, value: measured.value, ...(since !== undefined && { change }) };
    }),
    nextCursor:
      found.length > limit && last
        ? ports.cursors.sign(scope, {
            value: `${last.event.occurredAtMs}`,
            id: `${digestOf(last)} ${last.sequence}`,
          })
        : undefined,
  };
};

export const listedEventJson = ({ stored, value, change }: ListedEvent) => ({
  ...storedEventJson(stored),
  digest: digestOf(stored),
  value,
  ...(change && { change }),
});
