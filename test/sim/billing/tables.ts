/** What is stored of billing, in memory: the tables of PostgreSQL and the stream of usage, as far as billing reads. */

import type { HeldDiscount } from '#schemas/coupon.ts';
import type { CreditNote } from '#schemas/credit-note.ts';
import type { BilledPart, PartTiming } from '#schemas/due-parts.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import type { LateUsagePolicy } from '#schemas/late-usage.ts';
import type { Instant } from '#schemas/period.ts';
import type { ChargeJson } from '#schemas/plan.ts';
import type { GeneralTermsJson } from '#schemas/plan-terms.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';
import type { TaxRate, TaxRounding } from '#schemas/tax-rate.ts';
import type { CreditedState } from '../../../invoicer/credits/draw-up-credit.ts';
import type { InvoiceUse } from '../../../invoicer/discounts/discount-facts.ts';
import { genesisHash } from '../../../invoicer/invoices/invoice-hash.ts';
import type { NumberingSeries } from '../../../invoicer/invoices/number-documents.ts';

export const organizationId = 'org_simulated';

/** A stored row that somebody may hold for a while; `attempts` names the lease. */
export type Leased = { attempts: number; leasedUntil: Instant | null };

export type RunState = 'queued' | 'running' | 'completed' | 'failed';
export type Run = Leased & {
  readonly id: string;
  readonly askedBy: 'scheduler' | 'api' | 'clock';
  readonly dueUntil: Instant;
  readonly arrearsUntil: Instant;
  readonly subscriptionsMax: number | null;
  /** Of whom alone, where a caller said so. */
  readonly subscriptionId: string | null;
  readonly clockId: string | null;
  readonly createdAt: Instant;
  updatedAt: number;
  state: RunState;
  isCut: boolean;
  watermark: bigint | undefined;
  failure: string | undefined;
};

export type ShardState = 'queued' | 'rated' | 'issued' | 'failed';
export type ShardRecord = Leased & {
  readonly runId: string;
  readonly number: number;
  billingPeriodIds: readonly string[];
  state: ShardState;
};

export type PeriodState = 'open' | 'billed' | 'unchanged' | 'reported' | 'credited';
export type PeriodRecord = {
  readonly id: string;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly isConsolidated: boolean;
  readonly part: BilledPart;
  readonly timing: PartTiming | 'delta';
  month: string;
  dueAt: Instant;
  readonly correctsId: string | undefined;
  readonly correction: number;
  readonly lateUsage: LateUsagePolicy;
  state: PeriodState;
  /** Whether it waits for the next invoice, and whether it is billed now whatever that comes to. */
  isCarried: boolean;
  isLast: boolean;
  invoiceId: string | undefined;
  watermark: bigint | undefined;
};

export type PlanVersion = {
  readonly id: string;
  readonly planId: string;
  readonly charges: readonly ChargeJson[];
  readonly terms: GeneralTermsJson;
};

export type Customer = {
  readonly id: string;
  readonly externalId: string;
  readonly timeZone: string;
  readonly isConsolidated: boolean;
  readonly clockId: string | null;
  readonly taxRateIds: readonly string[];
};

export type Subscription = {
  readonly id: string;
  readonly customerId: string;
  terms: SubscriptionTerms;
  cutUntil: Instant | null;
  nextDueAt: Instant | undefined;
};

/** What a key stands for from a sequence on; undefined where it is void. */
export type Usage = { readonly customer: string; readonly atMs: Instant; readonly hundredths: number };
export type Message = {
  readonly key: string;
  readonly usage: Usage | undefined;
  readonly isAmendment: boolean;
  /** What an amendment took the place of. */
  readonly before: Usage | undefined;
  /** Whether it is written down yet which sequence an amendment has. */
  isNumbered: boolean;
};

export type RatedRecord = { readonly json: string; readonly input: string; readonly output: string };

export type TestClock = { readonly id: string; now: Instant; target: Instant; failure: string | undefined };

export const ratedKey = (periodId: string, watermark: bigint): string => `${periodId} ${watermark}`;

export const createTables = () => ({
  graceMs: 0,
  taxRounding: 'line' as TaxRounding,
  meters: [] as MeterVersion[],
  plans: new Map<string, PlanVersion>(),
  customers: new Map<string, Customer>(),
  subscriptions: new Map<string, Subscription>(),
  clocks: new Map<string, TestClock>(),
  /** The stream: a message's sequence is its place, from 1. */
  messages: [] as Message[],
  /** Up to which sequence the identity check came. */
  checked: 0n,
  runs: new Map<string, Run>(),
  shards: [] as ShardRecord[],
  periods: new Map<string, PeriodRecord>(),
  latePeriods: new Set<string>(),
  looked: undefined as bigint | undefined,
  /** By period and watermark, then by charge. */
  ratedLines: new Map<string, Map<string, RatedRecord>>(),
  series: {
    lastNumber: 0,
    headHash: genesisHash,
    leasedUntil: null as Instant | null,
    numbering: [] as readonly NumberingSeries[],
  },
  invoices: [] as IssuedInvoice[],
  states: new Map<string, CreditedState>(),
  discounts: [] as HeldDiscount[],
  uses: [] as InvoiceUse[],
  taxRates: [] as TaxRate[],
  creditSeries: { lastNumber: 0, headHash: genesisHash, numbering: [] as readonly NumberingSeries[] },
  creditNotes: [] as CreditNote[],
  /** By the credit note: the delta that it gives back. */
  creditedDeltas: new Map<string, string>(),
});
export type Tables = ReturnType<typeof createTables>;

export const invoiceOf = (tables: Tables, id: string | undefined): IssuedInvoice | undefined =>
  tables.invoices.find((invoice) => invoice.id === id);

/** What counts at a watermark, by key. */
export const usageAt = ({ messages }: Tables, watermark: bigint): Usage[] => {
  const standing = new Map<string, Usage | undefined>();
  for (const [index, { key, usage }] of messages.entries()) if (BigInt(index) < watermark) standing.set(key, usage);
  return [...standing.values()].filter((usage) => usage !== undefined);
};
