/**
 * The resources of the API: the stores of all of them, made once, and the routes over them. Beside the process it is
 * the one place that knows adapters, so that tests register the very same routes.
 */
import type { Vault } from '#platform/secrets/vault.ts';
import { creditedCharges } from '../invoicer/corrections/credited-charges.postgres.ts';
import { handCredits } from '../invoicer/corrections/hand-credits.postgres.ts';
import { creditNoteIssuing } from '../invoicer/credits/credit-notes.postgres.ts';
import { discountFacts } from '../invoicer/discounts/discount-facts.postgres.ts';
import { chargeCategories, taxFacts } from '../invoicer/taxes/tax-facts.postgres.ts';
import { type ApiKeyPorts, apiKeyRoutes } from './access/api-key-routes.ts';
import { createApiKeyStore } from './access/api-keys.postgres.ts';
import { auditLog } from './access/audit-log.postgres.ts';
import { auditLogRoutes } from './access/audit-log-routes.ts';
import { organizationStore } from './access/organization.postgres.ts';
import { organizationRoutes } from './access/organization-routes.ts';
import { balanceRoutes } from './balances/balance-routes.ts';
import { balanceReader } from './balances/balances.postgres.ts';
import type { BalancePorts } from './balances/balances-together.ts';
import { catalogStore } from './catalog/catalog.postgres.ts';
import { costBookRoutes } from './catalog/cost-book-routes.ts';
import { costBookStore } from './catalog/cost-books.postgres.ts';
import { creditUnitRoutes } from './catalog/credit-unit-routes.ts';
import { creditUnitStore } from './catalog/credit-units.postgres.ts';
import { featureRoutes } from './catalog/feature-routes.ts';
import { type MeterPorts, meterRoutes } from './catalog/meter-routes.ts';
import { planRoutes } from './catalog/plan-routes.ts';
import { planVersionRoutes } from './catalog/plan-version-routes.ts';
import { priceOverrideRoutes } from './catalog/price-override-routes.ts';
import { priceOverrideStore } from './catalog/price-overrides.postgres.ts';
import { priceRoutes } from './catalog/price-routes.ts';
import { sourceRowStore } from './catalog/source-rows.postgres.ts';
import { type TestClockPorts, testClockRoutes } from './clocks/test-clock-routes.ts';
import { testClockStore } from './clocks/test-clocks.postgres.ts';
import { couponRoutes } from './coupons/coupon-routes.ts';
import { couponStore } from './coupons/coupons.postgres.ts';
import { discountRoutes } from './coupons/discount-routes.ts';
import { discountStore } from './coupons/discounts.postgres.ts';
import { promotionCodeRoutes } from './coupons/promotion-code-routes.ts';
import { promotionCodeStore } from './coupons/promotion-codes.postgres.ts';
import { type CreditNotePorts, creditNoteRoutes } from './credits/credit-note-routes.ts';
import { creditNoteReader } from './credits/credit-notes.postgres.ts';
import { createCustomerDetails } from './customers/customer-details.postgres.ts';
import { customerLifeRoutes } from './customers/customer-life-routes.ts';
import { parentStore } from './customers/customer-parents.postgres.ts';
import { type CustomerPorts, customerRoutes } from './customers/customer-routes.ts';
import { createCustomerStore } from './customers/customers.postgres.ts';
import { entitledStore } from './entitlements/entitled.postgres.ts';
import { type EntitlementPorts, entitlementRoutes } from './entitlements/entitlement-routes.ts';
import { type AmendmentPorts, amendmentRoutes } from './events/amendment-routes.ts';
import { amendmentStore } from './events/amendments.postgres.ts';
import { billedUsage } from './events/billed-usage.postgres.ts';
import { billingFactsOf } from './events/event-billing.postgres.ts';
import { type EventPorts, eventRoutes } from './events/event-routes.ts';
import { creditedLines } from './explain/credited-lines.postgres.ts';
import { type ExplainPorts, explainRoutes } from './explain/explain-routes.ts';
import { ratedLines } from './explain/rated-lines.postgres.ts';
import { creditNoteExports } from './exports/credit-note-exports.postgres.ts';
import { customerExportRoutes } from './exports/customer-export-routes.ts';
import type { ExportPorts } from './exports/export-customer.ts';
import { exportedRows } from './exports/exported-rows.postgres.ts';
import { type InvoiceExportPorts, invoiceExportRoutes } from './exports/invoice-export-routes.ts';
import { invoiceExports } from './exports/invoice-exports.postgres.ts';
import { billedWith } from './invoices/billed-with.postgres.ts';
import { closingReader } from './invoices/closings.postgres.ts';
import { invoiceDraftStore } from './invoices/drafts.postgres.ts';
import { createInvoiceDocuments } from './invoices/invoice-documents.postgres.ts';
import { type InvoicePorts, invoiceRoutes } from './invoices/invoice-routes.ts';
import { invoiceStates } from './invoices/invoice-states.postgres.ts';
import { invoiceReader } from './invoices/invoices.postgres.ts';
import { issuedParts } from './invoices/issued-parts.postgres.ts';
import { lateUsageReader } from './invoices/late-usage.postgres.ts';
import { lateUsageRoutes } from './invoices/late-usage-routes.ts';
import { minimumAmounts, payerTerms } from './invoices/payer-terms.postgres.ts';
import { issuingEntityStore } from './issuing/issuing-entities.postgres.ts';
import { issuingEntityRoutes } from './issuing/issuing-entity-routes.ts';
import { candidateStore } from './plan-migrations/candidates.postgres.ts';
import { type PlanMigrationPorts, planMigrationRoutes } from './plan-migrations/plan-migration-routes.ts';
import { planMigrationStore } from './plan-migrations/plan-migrations.postgres.ts';
import { quoteLinkRoutes } from './quotes/quote-link-routes.ts';
import { type QuotePorts, quoteRoutes } from './quotes/quote-routes.ts';
import { createQuoteStore } from './quotes/quotes.postgres.ts';
import { type ReconciliationPorts, reconciliationRoutes } from './reconciliation/reconciliation-routes.ts';
import type { Routes } from './route/define-route.ts';
import { carriedPeriods } from './runs/carried-periods.postgres.ts';
import { ratingFailures } from './runs/rating-failures.postgres.ts';
import { type RatingRunPorts, ratingRunRoutes } from './runs/rating-run-routes.ts';
import { ratingRuns } from './runs/rating-runs.postgres.ts';
import { addRun } from './runs/runs.postgres.ts';
import { type SimulationPorts, simulationRoutes } from './simulations/simulation-routes.ts';
import { simulationStore } from './simulations/simulations.postgres.ts';
import { cancellationRoutes } from './subscription-views/cancellation-routes.ts';
import { cancellationReader } from './subscription-views/cancellations.postgres.ts';
import { drawUpQuoted } from './subscription-views/draw-up-invoices.ts';
import { previewChange } from './subscription-views/preview-change.ts';
import { renewalRoutes } from './subscription-views/renewal-routes.ts';
import { trialRoutes } from './subscription-views/trial-routes.ts';
import { trialReader } from './subscription-views/trials.postgres.ts';
import { upcomingReader } from './subscription-views/upcoming.postgres.ts';
import { oneTimeChargeRoutes } from './subscriptions/one-time-charge-routes.ts';
import { oneTimeChargeStore } from './subscriptions/one-time-charges.postgres.ts';
import { subscriptionChangeRoutes } from './subscriptions/subscription-change-routes.ts';
import { subscriptionChangeStore } from './subscriptions/subscription-changes.postgres.ts';
import { subscriptionRoutes } from './subscriptions/subscription-routes.ts';
import { subscriptionStore } from './subscriptions/subscriptions.postgres.ts';
import { taxRateRoutes } from './taxes/tax-rate-routes.ts';
import { taxRateStore } from './taxes/tax-rates.postgres.ts';
import { type UsagePorts, usageRoutes } from './usage/usage-routes.ts';

/** What is read and written in PostgreSQL, by domain. */
export const createStores = (vault: Vault) => ({
  catalog: catalogStore,
  costBooks: costBookStore,
  sourceRows: sourceRowStore,
  creditUnits: creditUnitStore,
  priceOverrides: priceOverrideStore,
  taxRates: taxRateStore,
  taxFacts,
  chargeCategories,
  handCredits,
  creditedCharges,
  coupons: couponStore,
  promotionCodes: promotionCodeStore,
  discounts: discountStore,
  discountFacts,
  customers: createCustomerStore(vault),
  customerDetails: createCustomerDetails(vault),
  parents: parentStore,
  subscriptions: subscriptionStore,
  subscriptionChanges: subscriptionChangeStore,
  oneTimeCharges: oneTimeChargeStore,
  planMigrations: planMigrationStore,
  candidates: candidateStore,
  trials: trialReader,
  cancellations: cancellationReader,
  upcoming: upcomingReader,
  entitled: entitledStore,
  quotes: createQuoteStore(vault),
  invoices: invoiceReader,
  invoiceDrafts: invoiceDraftStore,
  invoiceStates,
  issuedParts,
  payerTerms,
  minimumAmounts,
  balances: balanceReader,
  billedWith,
  addRun,
  invoiceDocuments: createInvoiceDocuments(vault),
  creditNotes: creditNoteReader,
  creditIssuing: creditNoteIssuing,
  closings: closingReader,
  lateUsage: lateUsageReader,
  ratingRuns,
  ratingFailures,
  carriedPeriods,
  simulations: simulationStore,
  testClocks: testClockStore,
  issuingEntities: issuingEntityStore,
  ratedLines,
  creditedLines,
  amendments: amendmentStore,
  billedUsage,
  billingFactsOf,
  organizations: organizationStore,
  apiKeys: createApiKeyStore(vault),
  auditLog,
  exportedRows,
  invoiceExports,
  creditNoteExports,
});

/** The stores, and what some routes need beyond them, each as its file declares it. */
export type ApiPorts = ReturnType<typeof createStores> &
  Pick<CustomerPorts, 'usageNames'> &
  Pick<MeterPorts, 'totalsProgress'> &
  UsagePorts &
  EntitlementPorts &
  ExportPorts &
  InvoiceExportPorts &
  InvoicePorts &
  CreditNotePorts &
  RatingRunPorts &
  SimulationPorts &
  TestClockPorts &
  Omit<QuotePorts, 'drawUpQuoted'> &
  PlanMigrationPorts &
  ExplainPorts &
  EventPorts &
  AmendmentPorts &
  BalancePorts &
  ReconciliationPorts &
  ApiKeyPorts;

/** What routes of rooms that come first say of invoices ahead. */
const withFirstInvoice = (ports: ApiPorts): QuotePorts => ({
  ...ports,
  drawUpQuoted: (db, quoted) => drawUpQuoted(ports, db, quoted),
});

/** In the order in which documents show them. */
export const resourceRoutes: readonly ((routes: Routes, ports: ApiPorts) => void)[] = [
  meterRoutes,
  featureRoutes,
  planRoutes,
  planVersionRoutes,
  costBookRoutes,
  creditUnitRoutes,
  priceRoutes,
  taxRateRoutes,
  couponRoutes,
  promotionCodeRoutes,
  customerRoutes,
  customerLifeRoutes,
  customerExportRoutes,
  invoiceExportRoutes,
  priceOverrideRoutes,
  subscriptionRoutes,
  (routes, ports) =>
    subscriptionChangeRoutes(routes, { ...ports, previewChange: (...asked) => previewChange(ports, ...asked) }),
  oneTimeChargeRoutes,
  discountRoutes,
  (routes, ports) => quoteRoutes(routes, withFirstInvoice(ports)),
  (routes, ports) => quoteLinkRoutes(routes, withFirstInvoice(ports)),
  planMigrationRoutes,
  renewalRoutes,
  trialRoutes,
  cancellationRoutes,
  usageRoutes,
  entitlementRoutes,
  issuingEntityRoutes,
  invoiceRoutes,
  balanceRoutes,
  creditNoteRoutes,
  lateUsageRoutes,
  ratingRunRoutes,
  explainRoutes,
  simulationRoutes,
  testClockRoutes,
  eventRoutes,
  amendmentRoutes,
  reconciliationRoutes,
  organizationRoutes,
  apiKeyRoutes,
  auditLogRoutes,
];
