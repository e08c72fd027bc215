/** What a rated line was measured of, as explanations say it. Pure. */
import { meterDefinitionToJson } from '#schemas/meter.ts';
import { formatPeriod } from '#schemas/period.ts';
import { definitionJson } from '../catalog/meter-routes.ts';
import type { Db } from '../route/define-route.ts';
import { type LineQuery, readsBefore } from './line-query.ts';
import type { ExplainedLine } from './rated-lines.postgres.ts';

/** What the quantity of a line was measured of; undefined for a flat charge. */
export const queryOf = ({ organizationId: tenant }: Db, { meter, input }: ExplainedLine): LineQuery | undefined => {
  const [measured] = input.measured;
  if (!meter || !measured) return undefined;
  return { tenant, meter, customers: measured.customers, span: input.span, watermark: input.watermark };
};

export const queryJson = (query: LineQuery) => {
  const { meter, customers, span, watermark } = query;
  return {
    meter: meter.code,
    meter_version: meter.version,
    meter_version_id: meter.versionId,
    definition: definitionJson(meterDefinitionToJson(meter)),
    customers,
    span: formatPeriod(span),
    reads_before: readsBefore(query),
    watermark: watermark.toString(),
  };
};

export const urlOfEvents = (id: string): string => `/v1/rated-lines/${id}/explain/events`;

/** How many events changed the quantity of a line since a watermark, and where they are listed. */
export const changesJson = (
  id: string,
  since: bigint,
  { added, removed }: { readonly added: bigint; readonly removed: bigint },
) => ({
  added: added.toString(),
  removed: removed.toString(),
  url: `${urlOfEvents(id)}?changed_since=${since}`,
});
