/**
 * Usage of spans that is asked for again and again: what was measured once is kept, and brought from one watermark to
 * the next by what has come in between, which is read once for all who have usage kept. It is that of the events at the
 * watermark, to the last digit: what can't be put together from two parts, what a void takes away and what lies across
 * a bound of its span is forgotten, and measured again by whoever asks for it.
 *
 * Nothing is kept that could not be measured anew: it is of this process alone, and goes with it.
 */
import type { Period } from '#schemas/period.ts';
import type { MeasuredSpan } from '../aggregate/covered-spans.ts';
import type { Results } from '../aggregate/fragment.ts';
import {
  type Measure,
  type Measured,
  measureKey,
  type Quantities,
  type QuantityQuery,
  type QuantityStatement,
  quantitiesFromRows,
  quantityOf,
  quantityStatements,
  readsBefore,
  resultsOf,
  type StatementAnswer,
  type StatementRow,
} from '../aggregate/quantity-query.ts';
import {
  type Arrived,
  type ArrivedResults,
  type ArrivedStatement,
  arrivedFromRow,
  arrivedMax,
  arrivedStatements,
  isMergeable,
  minuteMs,
  type VoidedStatement,
  voidedStatement,
} from './arrived-query.ts';

type Statement = QuantityStatement | ArrivedStatement | VoidedStatement;

export type LivePorts = {
  readonly read: (statement: Statement) => Promise<StatementRow[]>;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsedMs: () => number;
  readonly report: {
    /** Spans of a query that were known, and those of which something was measured. */
    readonly asked: (spans: { readonly known: number; readonly measured: number }) => void;
    /** Spans that are kept. */
    readonly kept: (spans: number) => void;
  };
};

export type LiveLimits = {
  /** A watermark that was the newest so long ago is read anew by whoever asks, who need not wait. */
  readonly renewedMs: number;
  /** One that is older than this they wait for. */
  readonly oldestMs: number;
  /** What nobody has asked for is forgotten: to bring it up would take longer than to measure it. */
  readonly idleMs: number;
  /** Of the process; those that were not asked for the longest go first. */
  readonly spansMax: number;
  /** Of an organization; others are not kept. */
  readonly measuresMax: number;
  /** After so long a span is measured anew: what came under an old watermark after all is in it then. */
  readonly measuredMs: number;
  /** For so many days the identity check knows a key. */
  readonly windowDays: number;
};

export type LiveQuantities = { readonly watermark: bigint; readonly quantities: Quantities };

export type LiveUsage = (
  tenant: string,
  query: Pick<QuantityQuery, 'spans' | 'measures'>,
  readWatermark: () => Promise<bigint>,
) => Promise<LiveQuantities>;

/** `measured` is undefined where no event of the span is; `results` where it can't be brought up. */
type Kept = { readonly measured: Measured | undefined; readonly results: Results | undefined };

type KeptSpan = {
  readonly key: string;
  readonly tenant: Tenant;
  readonly span: MeasuredSpan;
  readonly kept: Map<string, Kept>;
  /** When the first of it was measured. */
  readonly sinceMs: number;
};

/** What has come between two watermarks, by the names of customers. */
type Step = {
  readonly after: bigint;
  readonly watermark: bigint;
  /** Keys of the measures that it tells of. */
  readonly told: ReadonlySet<string>;
  readonly arrived: ReadonlyMap<string, readonly Arrived[]>;
  readonly voided: ReadonlySet<string>;
};

type Tenant = {
  readonly id: string;
  /** What is kept is of this watermark, which was the newest at `atMs`. */
  watermark: bigint;
  atMs: number;
  askedMs: number;
  renewing: Promise<void> | undefined;
  readonly spansByName: Map<string, Set<KeptSpan>>;
  readonly measures: Map<string, Measure>;
  /** The last steps, for what was measured before them and is kept only now. */
  steps: readonly Step[];
};

const stepsMax = 16;

/** A span stands under each of the names of its customer. */
const keptOf = ({ spansByName }: Tenant): ReadonlySet<KeptSpan> =>
  new Set([...spansByName.values()].flatMap((named) => [...named]));

/** Whoever asks: the ids of spans are of a query alone. */
const spanKey = (tenant: string, { customers, period }: MeasuredSpan): string =>
  JSON.stringify([tenant, period.start, period.end, ...customers]);

const asksFor = ({ spanIds }: Measure, { spanId }: MeasuredSpan): boolean => spanIds?.has(spanId) ?? true;

const holds = ({ start, end }: Period, minute: number): 'whole' | 'none' | 'part' => {
  if (minute >= end || minute + minuteMs <= start) return 'none';
  return minute >= start && minute + minuteMs <= end ? 'whole' : 'part';
};

/** Of a measure of a span, what it was and what has come of it. */
const merged = (
  before: Kept,
  { meter }: Measure,
  { fragment, ...more }: ArrivedResults,
  period: Period,
): Kept | undefined => {
  if (!fragment.merge || (before.measured && !before.results)) return undefined;
  const results = before.results ? fragment.merge(before.results, more.results) : more.results;
  const unmeasuredEvents = (before.measured?.unmeasuredEvents ?? 0n) + more.unmeasuredEvents;
  return { results, measured: { quantity: quantityOf(fragment, results, meter, period), unmeasuredEvents } };
};

/** By span and measure ids of the statements: the results of what can be brought up. */
const resultsIn = (answers: readonly StatementAnswer[]): ReadonlyMap<string, Results> =>
  new Map(
    answers.flatMap(({ statement, rows }) =>
      statement.measures.flatMap((measure, index) => {
        const fragment = statement.fragments[index];
        if (!fragment || !isMergeable(measure, fragment)) return [];
        return rows.map((row): [string, Results] => [
          JSON.stringify([row.span, measure.measureId]),
          resultsOf(fragment, row, `_${index}`),
        ]);
      }),
    ),
  );

const take = (span: MeasuredSpan, kept: Map<string, Kept>, { minute, isUnsure, of }: Arrived): void => {
  const held = holds(span.period, minute);
  for (const { key, measure, more } of of) {
    // Levels are carried into a span from all that was before it.
    if (held === 'none' && !(readsBefore(measure.meter) && minute < span.period.end)) continue;
    const before = kept.get(key);
    if (!before) continue;
    const after = more && !isUnsure && held === 'whole' ? merged(before, measure, more, span.period) : undefined;
    if (after) kept.set(key, after);
    else kept.delete(key);
  }
};

/** What is kept of a span, which is of the step's earlier watermark, is of the later one then, or forgotten. */
const stepUp = (span: MeasuredSpan, kept: Map<string, Kept>, { told, arrived, voided }: Step): void => {
  for (const key of kept.keys()) if (!told.has(key)) kept.delete(key);
  for (const name of span.customers) {
    for (const one of arrived.get(name) ?? []) take(span, kept, one);
    if (voided.has(name)) kept.clear();
  }
};

/** The steps from a watermark to that which a tenant has; undefined where they are not all there. */
const stepsSince = ({ steps, watermark }: Tenant, since: bigint): readonly Step[] | undefined => {
  if (since === watermark) return [];
  const first = steps.findIndex(({ after }) => after === since);
  return first < 0 || steps.at(-1)?.watermark !== watermark ? undefined : steps.slice(first);
};

const takeStep = (tenant: Tenant, step: Step): void => {
  for (const { span, kept } of keptOf(tenant)) stepUp(span, kept, step);
  tenant.steps = [...tenant.steps, step].slice(-stepsMax);
};

export const createLiveUsage = (
  { renewedMs, oldestMs, idleMs, spansMax, measuresMax, measuredMs, windowDays }: LiveLimits,
  { read, elapsedMs, report }: LivePorts,
): LiveUsage => {
  const tenants = new Map<string, Tenant>();
  /** In the order in which they were asked for last. */
  const spans = new Map<string, KeptSpan>();

  const forgetSpan = (one: KeptSpan): void => {
    if (spans.get(one.key) === one) spans.delete(one.key);
    for (const name of one.span.customers) {
      const named = one.tenant.spansByName.get(name);
      named?.delete(one);
      if (named?.size === 0) one.tenant.spansByName.delete(name);
    }
  };

  const forgetKept = (tenant: Tenant): void => {
    for (const one of keptOf(tenant)) forgetSpan(one);
    tenant.measures.clear();
    tenant.steps = [];
  };

  const forgetTenant = (tenant: Tenant): void => {
    if (tenants.get(tenant.id) === tenant) tenants.delete(tenant.id);
    forgetKept(tenant);
  };

  /** What is kept of it, of the watermark that its tenant has. */
  const spanOf = (tenant: Tenant, span: MeasuredSpan): KeptSpan | undefined => {
    const one = spans.get(spanKey(tenant.id, span));
    if (one?.tenant === tenant && elapsedMs() - one.sinceMs <= measuredMs) return one;
    if (one) forgetSpan(one);
    return undefined;
  };

  const keptSpan = (tenant: Tenant, span: MeasuredSpan): KeptSpan => {
    const key = spanKey(tenant.id, span);
    const one = spanOf(tenant, span) ?? { key, tenant, span, kept: new Map(), sinceMs: elapsedMs() };
    spans.delete(key);
    spans.set(key, one);
    for (const name of span.customers) {
      const named = tenant.spansByName.get(name) ?? new Set();
      tenant.spansByName.set(name, named.add(one));
    }
    for (const oldest of spans.values()) {
      if (spans.size <= spansMax) break;
      forgetSpan(oldest);
    }
    return one;
  };

  /** What another has kept meanwhile is of the same watermark, and stays. */
  const keep = (tenant: Tenant, span: MeasuredSpan, fresh: Map<string, Kept>, steps: readonly Step[]): void => {
    const { kept } = keptSpan(tenant, span);
    for (const step of steps) stepUp(span, fresh, step);
    for (const [key, one] of fresh) if (!kept.has(key)) kept.set(key, one);
  };

  /** From the watermark that it has to another; what is asked for meanwhile is of the one before. */
  const bringUp = async (tenant: Tenant, watermark: bigint, atMs: number): Promise<void> => {
    const measures = [...tenant.measures.values()];
    const told = new Set(tenant.measures.keys());
    if (watermark > tenant.watermark && measures.length > 0) {
      const wanted = { tenant: tenant.id, after: tenant.watermark, watermark, measures, windowDays };
      const [voided, ...arrived] = await Promise.all([
        read(voidedStatement(wanted)),
        ...arrivedStatements(wanted).map(async (statement) =>
          (await read(statement)).map((row) => arrivedFromRow(statement, row)),
        ),
      ]);
      if (arrived.some((rows) => rows.length > arrivedMax)) forgetKept(tenant);
      else
        takeStep(tenant, {
          after: tenant.watermark,
          watermark,
          told,
          arrived: Map.groupBy(arrived.flat(), ({ customer }) => customer),
          voided: new Set(voided.map(({ customer }) => customer ?? '')),
        });
    }
    if (watermark > tenant.watermark) tenant.watermark = watermark;
    tenant.atMs = atMs;
  };

  const renew = (tenant: Tenant, readWatermark: () => Promise<bigint>): Promise<void> => {
    const renewing = async (): Promise<void> => {
      const atMs = elapsedMs();
      try {
        await bringUp(tenant, await readWatermark(), atMs);
      } catch (error) {
        forgetTenant(tenant);
        throw error;
      } finally {
        tenant.renewing = undefined;
      }
    };
    tenant.renewing ??= renewing();
    return tenant.renewing;
  };

  /** At a watermark that is new enough. */
  const tenantOf = async (id: string, readWatermark: () => Promise<bigint>): Promise<Tenant> => {
    const nowMs = elapsedMs();
    const known = tenants.get(id);
    if (known && nowMs - known.askedMs <= idleMs && nowMs - known.atMs <= idleMs) {
      known.askedMs = nowMs;
      if (nowMs - known.atMs > oldestMs) await renew(known, readWatermark);
      // It may have begun long before.
      if (nowMs - known.atMs > oldestMs) await renew(known, readWatermark);
      // Whoever waits for it next is told what went wrong.
      else if (nowMs - known.atMs > renewedMs) renew(known, readWatermark).catch(() => {});
      return known;
    }
    for (const other of tenants.values()) if (other === known || nowMs - other.askedMs > idleMs) forgetTenant(other);
    const watermark = await readWatermark();
    // Of several who came first each would have a watermark of its own.
    const made = tenants.get(id);
    if (made) return made;
    const tenant: Tenant = {
      id,
      watermark,
      atMs: nowMs,
      askedMs: nowMs,
      renewing: undefined,
      spansByName: new Map(),
      measures: new Map(),
      steps: [],
    };
    tenants.set(id, tenant);
    return tenant;
  };

  const measure = async (wanted: QuantityQuery): Promise<StatementAnswer[]> => {
    const answers: StatementAnswer[] = [];
    for (const statement of quantityStatements(wanted)) answers.push({ statement, rows: await read(statement) });
    return answers;
  };

  return async (tenantId, { spans: asked, measures }, readWatermark) => {
    const tenant = await tenantOf(tenantId, readWatermark);
    const { watermark } = tenant;
    const keyed = measures.map((one) => ({ measure: one, key: measureKey(one) }));
    const known = asked.map((span) => {
      const { kept } = spanOf(tenant, span) ?? { kept: new Map<string, Kept>() };
      const own = keyed.filter((one) => asksFor(one.measure, span));
      return { span, own: own.map((one) => ({ ...one, kept: kept.get(one.key) })) };
    });
    const missing = known.filter(({ own }) => own.some((one) => !one.kept));
    report.asked({ known: known.length - missing.length, measured: missing.length });
    const missed = new Set(
      missing.flatMap(({ own }) => own.filter((one) => !one.kept).map((one) => one.measure.measureId)),
    );
    const answers =
      missing.length === 0
        ? []
        : await measure({
            tenant: tenantId,
            watermark,
            spans: missing.map(({ span }) => span),
            measures: measures.filter(({ measureId }) => missed.has(measureId)),
          });
    const quantities = quantitiesFromRows(answers);
    const results = resultsIn(answers);
    // What was measured may have been overtaken.
    const steps = tenants.get(tenantId) === tenant ? stepsSince(tenant, watermark) : undefined;
    const answer: LiveQuantities = {
      watermark,
      quantities: new Map(
        known.map(({ span, own }) => {
          const fresh = new Map<string, Kept>();
          const measured = own.flatMap(({ measure: one, key, kept }): [string, Measured][] => {
            const found: Kept = kept ?? {
              measured: quantities.get(span.spanId)?.get(one.measureId),
              results: results.get(JSON.stringify([span.spanId, one.measureId])),
            };
            if (steps && !kept && (tenant.measures.has(key) || tenant.measures.size < measuresMax)) {
              tenant.measures.set(key, one);
              fresh.set(key, found);
            }
            return found.measured ? [[one.measureId, found.measured]] : [];
          });
          if (steps) keep(tenant, span, fresh, steps);
          return [span.spanId, new Map(measured)];
        }),
      ),
    };
    report.kept(spans.size);
    return answer;
  };
};
