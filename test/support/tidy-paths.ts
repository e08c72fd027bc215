/** What a path says of its file, for the rules of style. */
import { dirname, join } from 'node:path';
import type { SourceFile } from './source-files.ts';

export type Fault = { readonly path: string; readonly at: number; readonly message: string };
/** A repository in small: path -> text. */
export type Sample = Readonly<Record<string, string>>;
export type Rule = {
  readonly name: string;
  readonly check: (files: readonly SourceFile[]) => readonly Fault[];
  readonly bad: readonly Sample[];
  readonly good: readonly Sample[];
};

/** The file that an import means, from the root of the repository; undefined for a package. */
export const targetOf = (path: string, specifier: string): string | undefined => {
  if (specifier.startsWith('#')) return specifier.slice(1);
  return specifier.startsWith('.') ? join(dirname(path), specifier) : undefined;
};

export const packageOf = (specifier: string): string => (/^(?:@[^/]+\/)?[^/]+/.exec(specifier) ?? [specifier])[0];

export const topOf = (path: string): string => path.split('/')[0] as string;
export const isCode = ({ path }: SourceFile): boolean => /\.(ts|mjs)$/.test(path);
export const domains = ['ingest', 'rater', 'invoicer', 'api'];
export const isLocal = (path: string): boolean => path.startsWith('platform/local/');
/** Tools around the product: they start, measure and test it. */
export const isTool = (path: string): boolean => ['bench', 'test', '.ci'].includes(topOf(path)) || !path.includes('/');
export const isMain = (path: string): boolean => /(?:^|[/.])main\.ts$/.test(path);
export const isAdapter = (path: string): boolean =>
  /\.(?:redis|nats|clickhouse|postgres|piscina|typst|http)\.ts$/.test(path);
/** What a process and the tests of its routes put together alike. */
const isComposer = (path: string): boolean => path === 'api/resources.ts';
export const isEdge = (path: string): boolean =>
  topOf(path) === 'platform' || isMain(path) || isAdapter(path) || isComposer(path);
/**
 * What awaits ports, by name: a file that is not here, no route and no edge is pure. A new use case adds its line, and
 * who adds one sees how few there are.
 */
export const useCases = new Set([
  'api/credits/credit-invoice.ts',
  'api/credits/make-credit-document.ts',
  'api/credits/void-invoice.ts',
  'api/customers/customer-tax.ts',
  'api/customers/place-customer.ts',
  'api/exports/export-customer.ts',
  'api/server.ts',
  'api/catalog/bind-terms.ts',
  'api/catalog/change-plan.ts',
  'api/catalog/override-price.ts',
  'api/coupons/discount-drafts.ts',
  'api/coupons/reduce-drafts.ts',
  'api/coupons/redeem-coupon.ts',
  'api/events/amend-events.ts',
  'api/balances/read-balance.ts',
  'api/invoices/ask-for-run.ts',
  'api/invoices/change-issued.ts',
  'api/invoices/compute-draft.ts',
  'api/invoices/finalize-draft.ts',
  'api/invoices/preview-invoice.ts',
  'api/invoices/make-document.ts',
  'api/runs/ask-for-rating-run.ts',
  'api/runs/run-scope.ts',
  'api/runs/wait-for-run.ts',
  'api/subscriptions/add-one-time-charge.ts',
  'api/quotes/quote-life.ts',
  'api/quotes/quoted-coupon.ts',
  'api/quotes/quote-offer.ts',
  'api/quotes/quote-terms.ts',
  'api/plan-migrations/ask-migration.ts',
  'api/plan-migrations/move-subscription.ts',
  'api/plan-migrations/move-subscriptions.ts',
  'api/plan-migrations/preview-migration.ts',
  'api/subscriptions/apply-change.ts',
  'api/subscriptions/cancel-subscription.ts',
  'api/subscriptions/change-add-ons.ts',
  'api/subscriptions/change-seats.ts',
  'api/subscriptions/change-subscription-plan.ts',
  'api/subscriptions/pause-subscription.ts',
  'api/subscriptions/start-subscription.ts',
  'api/subscriptions/undo-change.ts',
  'api/subscription-views/draw-up-invoices.ts',
  'api/subscription-views/preview-change.ts',
  'api/subscription-views/rate-upcoming.ts',
  'api/subscription-views/waiting-parts.ts',
  'api/taxes/tax-drafts.ts',
  'api/events/read-fate.ts',
  'api/events/search-events.ts',
  'api/explain/explain-credit.ts',
  'api/explain/list-events.ts',
  'api/reconciliation/count-fates.ts',
  'api/reconciliation/gather-evidence.ts',
  'api/route/define-route.ts',
  'api/route/idempotency-key.ts',
  'api/simulations/ask-simulation.ts',
  'api/usage/coalesce-reads.ts',
  'api/usage/merge-names.ts',
  'ingest/amendments/relay.ts',
  'invoicer/invoices/ask-tax-engine.ts',
  'ingest/fail-points.ts',
  'ingest/gateway/accept-events.ts',
  'ingest/gateway/decompress.ts',
  'ingest/gateway/gateway.ts',
  'ingest/gateway/in-flight.ts',
  'ingest/gateway/join-requests.ts',
  'ingest/gateway/read-body.ts',
  'ingest/gateway/read-events.ts',
  'ingest/gateway/read-request.ts',
  'ingest/gateway/report-counts.ts',
  'ingest/gateway/take-lines.ts',
  'ingest/identity/check-identity.ts',
  'ingest/identity/key-source.ts',
  'ingest/identity/known-keys.ts',
  'ingest/identity/merge-generations.ts',
  'ingest/sink/sink.ts',
  'ingest/stream/stream-guard.ts',
  'invoicer/credits/issue-credit.ts',
  'invoicer/issuing/close-period.ts',
  'invoicer/issuing/issue-shards.ts',
  'api/balances/balances-together.ts',
  'api/clocks/advance-test-clock.ts',
  'invoicer/clocks/advance-clock.ts',
  'invoicer/clocks/clock-jobs.ts',
  'invoicer/periods/close-due.ts',
  'invoicer/periods/close-jobs.ts',
  'rater/quantities/read-quantities.ts',
  'rater/run/look-for-late-usage.ts',
  'rater/run/rate-period.ts',
  'rater/totals/keep-totals.ts',
  'rater/live/live-usage.ts',
  'rater/totals/read-usage.ts',
  'rater/run/rate-shard.ts',
  'rater/simulate/rate-simulation.ts',
  'rater/verify/measure-again.ts',
  'rater/verify/rate-again.ts',
]);
export const isPure = (path: string): boolean =>
  [...domains, 'schemas'].includes(topOf(path)) &&
  path.endsWith('.ts') &&
  !isEdge(path) &&
  !useCases.has(path) &&
  !/-routes\.ts$|\/observe-[a-z-]+\.ts$/.test(path);
