/**
 * What the audit log says of an object beside what callers see: a digest of the rows that it is stored in, column by
 * column. A test goes over every column of the database: each is in here, or stands in `undigested.ts` with the reason.
 */
import { auditedBillingRun, auditedInvoice, auditedSubscription } from '#schemas/audited-billing.ts';
import { auditedCreditNote } from '#schemas/audited-credit-note.ts';
import { auditedInvoiceState } from '#schemas/audited-invoice-state.ts';
import type { AuditedObject, ChildRows } from '#schemas/audited-object.ts';
import { auditedPlanMigration } from '#schemas/audited-plan-migration.ts';
import { auditedSimulation } from '#schemas/audited-simulation.ts';
import { type ColumnForm, type StoredResource, storedResources } from '#schemas/resources.ts';

export type { AuditedObject, ChildRows, ColumnForm };

const named = { id: 'text', organization_id: 'text', code: 'text', name: 'text', metadata: 'text' } as const;
const versioned = { version: 'text', created_at: 'instant', updated_at: 'instant' } as const;

const planVersionMeters: ChildRows = {
  table: 'plan_version_meters',
  parent: 'plan_version_id',
  order: ['meter_code'],
  columns: { organization_id: 'text', plan_version_id: 'text', meter_code: 'text', meter_version_id: 'text' },
};

/** Of plans from before their versions had a life: each version was charged by from the beginning. */
const planOfForm1 = {
  table: 'plans',
  organization: 'organization_id',
  created: ['plan.created'],
  createdAt: 'created_at',
  isVersioned: true,
  columns: { ...named, ...versioned },
  children: [
    {
      table: 'plan_versions',
      parent: 'plan_id',
      order: ['version_number', 'id'],
      columns: {
        id: 'text',
        organization_id: 'text',
        plan_id: 'text',
        version_number: 'text',
        currency: 'text',
        billing_interval: 'text',
        charges: 'text',
        created_at: 'instant',
      },
      children: [planVersionMeters],
    },
  ],
} as const satisfies AuditedObject;

const versionsOfForm2 = {
  ...planOfForm1.children[0],
  columns: {
    id: 'text',
    organization_id: 'text',
    plan_id: 'text',
    version_number: 'text',
    state: 'text',
    currency: 'text',
    billing_interval: 'text',
    charges: 'text',
    activated_at: 'instant',
    archived_at: 'instant',
    ...versioned,
  },
} as const satisfies ChildRows;
/** Of plans from before a version had terms over all of its charges. */
const planOfForm2 = { ...planOfForm1, form: 2, children: [versionsOfForm2] } as const satisfies AuditedObject;

const versionsOfForm3 = {
  ...versionsOfForm2,
  columns: { ...versionsOfForm2.columns, terms: 'text' },
} as const satisfies ChildRows;
/** Of plans from before they entitled to features. */
const planOfForm3 = { ...planOfForm2, form: 3, children: [versionsOfForm3] } as const satisfies AuditedObject;
const planVersionFeatures: ChildRows = {
  table: 'plan_version_features',
  parent: 'plan_version_id',
  order: ['feature_id'],
  columns: { organization_id: 'text', plan_version_id: 'text', feature_id: 'text', meter_version_id: 'text' },
};

const ofOneRow = Object.fromEntries(
  storedResources.map(({ name, table, columns }): [string, AuditedObject] => [
    name,
    {
      table,
      organization: 'organization_id',
      created: [`${name}.created`],
      createdAt: 'created_at',
      isVersioned: true,
      columns: { id: 'text', organization_id: 'text', ...columns, ...versioned },
      children: [],
    },
  ]),
) as Readonly<Record<StoredResource, AuditedObject>>;

/** By itself and not as a part of its book or unit: these are long, and there is one for each day perhaps. */
const appendedRow = (name: string, columns: Readonly<Record<string, ColumnForm>>): AuditedObject => ({
  table: `${name}s`,
  organization: 'organization_id',
  created: [`${name}.created`],
  createdAt: 'created_at',
  isVersioned: false,
  columns: { id: 'text', organization_id: 'text', ...columns, created_at: 'instant' },
  children: [],
});

/** The form after the one before, which had not these columns yet. */
const withColumns = (before: AuditedObject, columns: Readonly<Record<string, ColumnForm>>): AuditedObject => {
  const { earlier = [], ...newest } = before;
  const { form = 1 } = before;
  return { ...before, form: form + 1, earlier: [newest, ...earlier], columns: { ...before.columns, ...columns } };
};
const currency = { currency: 'text' } as const;
const customerTerms = { language: 'text', payment_days: 'text', invoicing: 'text', parent_id: 'text' } as const;
const customerLife = { ...customerTerms, archived_at: 'instant', erased_at: 'instant' } as const;

const customerTaxes = {
  tax_country: 'text',
  tax_state: 'text',
  tax_id_countries: 'text',
  tax_treatment: 'text',
  tax_exemption_reason: 'text',
  tax_rate_ids: 'text',
} as const;

/** Since customers can be renamed. */
const customerAliases: ChildRows = {
  table: 'customer_aliases',
  parent: 'customer_id',
  order: ['number'],
  columns: { organization_id: 'text', name: 'text', customer_id: 'text', since: 'instant', number: 'text' },
};

const rateColumns = { effective_from: 'instant', unit: 'text', amount: 'text' } as const;

/** Of organizations from before they had settings. */
const organizationOfForm1 = {
  table: 'organizations',
  organization: 'id',
  created: ['organization.created', 'organization.recorded'],
  createdAt: 'created_at',
  isVersioned: false,
  columns: { id: 'text', name: 'text', created_at: 'instant', sandbox_of: 'text', tier: 'text' },
  children: [],
} as const satisfies AuditedObject;

/** By the `object_type` of their entries. */
export const auditedObjects = {
  organization: withColumns(
    withColumns(
      withColumns(
        withColumns(
          {
            ...organizationOfForm1,
            form: 2,
            earlier: [organizationOfForm1],
            columns: {
              ...organizationOfForm1.columns,
              rounding: 'text',
              metadata: 'text',
              version: 'text',
              updated_at: 'instant',
            },
          },
          { closing_automatic: 'text', closing_grace_minutes: 'text' },
        ),
        { issuing_entity_id: 'text', payment_days: 'text' },
      ),
      { draft_minutes: 'text', tax_rounding: 'text', tax_calculation: 'text' },
    ),
    { minimum_invoice_amounts: 'text' },
  ),
  api_key: {
    table: 'api_keys',
    organization: 'organization_id',
    created: ['api_key.created'],
    createdAt: 'created_at',
    isVersioned: true,
    columns: {
      id: 'text',
      organization_id: 'text',
      name: 'text',
      key_hash: 'bytes',
      scopes: 'text',
      created_at: 'instant',
      expires_at: 'instant',
      revoked_at: 'instant',
      hint: 'text',
      kind: 'text',
      signing_secret: 'bytes',
      rotated_to: 'text',
      metadata: 'text',
      version: 'text',
      updated_at: 'instant',
    },
    children: [],
  },
  meter: {
    table: 'meters',
    organization: 'organization_id',
    created: ['meter.created'],
    createdAt: 'created_at',
    isVersioned: true,
    columns: { ...named, ...versioned, deleted_at: 'instant' },
    children: [
      {
        table: 'meter_versions',
        parent: 'meter_id',
        order: ['version_number', 'id'],
        columns: {
          id: 'text',
          organization_id: 'text',
          meter_id: 'text',
          version_number: 'text',
          event: 'text',
          aggregation: 'text',
          definition: 'text',
          created_at: 'instant',
        },
      },
    ],
  },
  plan: {
    ...planOfForm3,
    form: 4,
    columns: { ...planOfForm3.columns, kind: 'text' },
    earlier: [planOfForm1, planOfForm2, planOfForm3],
    children: [{ ...versionsOfForm3, children: [planVersionMeters, planVersionFeatures] }],
  },
  ...ofOneRow,
  cost_book_version: appendedRow('cost_book_version', {
    cost_book_id: 'text',
    version_number: 'text',
    effective_from: 'instant',
    entries: 'text',
    default_cost: 'text',
  }),
  credit_unit_rate: appendedRow('credit_unit_rate', { credit_unit_id: 'text', rate_number: 'text', ...rateColumns }),
  customer: {
    ...withColumns(
      withColumns(
        withColumns(
          withColumns(
            withColumns(withColumns(withColumns(ofOneRow.customer, currency), { time_zone: 'text' }), {
              ...customerLife,
              test_clock_id: 'text',
            }),
            { issuing_entity_id: 'text', invoice_defaults: 'text' },
          ),
          customerTaxes,
        ),
        { minimum_invoice_amounts: 'text' },
      ),
      {},
    ),
    children: [customerAliases],
  },
  subscription: withColumns(auditedSubscription(withColumns(ofOneRow.subscription, currency)), {
    cancellation_final_usage: 'text',
  }),
  one_time_charge: withColumns(
    { ...ofOneRow.one_time_charge, created: ['subscription.charge_added'] },
    { tax_category: 'text' },
  ),
  billing_run: withColumns(withColumns(auditedBillingRun, { asked_by: 'text', subscriptions_max: 'text' }), {
    draft_id: 'text',
    drafts_only: 'text',
  }),
  amendment: {
    table: 'amendments',
    organization: 'organization_id',
    created: ['amendment.created'],
    createdAt: 'created_at',
    isVersioned: false,
    columns: {
      id: 'text',
      organization_id: 'text',
      idempotency_key: 'text',
      number: 'text',
      action: 'text',
      reason: 'text',
      created_at: 'instant',
    },
    settling: {
      columns: { published_sequence: 'text', published_at: 'instant', stream_sequence: 'text', applied_at: 'instant' },
      when: 't.stream_sequence IS NOT NULL',
    },
    children: [
      {
        table: 'amended_events',
        parent: 'amendment_id',
        order: ['effect', 'position'],
        columns: {
          organization_id: 'text',
          amendment_id: 'text',
          effect: 'text',
          position: 'text',
          event: 'text',
          customer: 'text',
          occurred_at: 'instant',
          row_digest: 'bytes',
          properties: 'text',
        },
      },
    ],
  },
  simulation: auditedSimulation,
  plan_migration: auditedPlanMigration,
  test_clock: ofOneRow.test_clock,
  issuing_entity: withColumns(ofOneRow.issuing_entity, { credit_note_prefix: 'text' }),
  invoice: auditedInvoice,
  invoice_state: auditedInvoiceState,
  invoice_draft: withColumns(
    {
      table: 'invoice_drafts',
      organization: 'organization_id',
      created: ['invoice_draft.created'],
      createdAt: 'created_at',
      isVersioned: true,
      columns: {
        id: 'text',
        organization_id: 'text',
        kind: 'text',
        state: 'text',
        customer_id: 'text',
        currency: 'text',
        finalize_at: 'instant',
        overrides: 'text',
        lines: 'text',
        line_count: 'text',
        subtotal: 'text',
        taxes: 'text',
        computed_at: 'instant',
        watermark: 'text',
        computed_lines: 'text',
        postponed: 'text',
        test_clock_id: 'text',
        metadata: 'text',
        version: 'text',
        created_at: 'instant',
        updated_at: 'instant',
      },
      children: [],
    },
    { reissue_of: 'text', discounts: 'text' },
  ),
  credit_note: withColumns(auditedCreditNote, { delta_id: 'text' }),
} as const satisfies Record<string, AuditedObject>;

export type AuditedType = keyof typeof auditedObjects;

/** Entries of what processes do to an object without another version of it. */
export const uncountedActions = ['customer.resealed', 'api_key.resealed'] as const;

/**
 * Of one shard; digested when it is rated (`billing_run_shards.lines_digest`). A new set of columns is a form more, and
 * shards keep the one that they were rated in.
 */
const ratedLineColumnsOfForm1: Readonly<Record<string, ColumnForm>> = {
  organization_id: 'text',
  subscription_id: 'text',
  period_start: 'instant',
  period_end: 'instant',
  charge_code: 'text',
  watermark: 'text',
  plan_version_id: 'text',
  position: 'text',
  line: 'text',
  unmeasured_events: 'text',
  rated_at: 'instant',
};
const ratedLineColumnsOfForm2: Readonly<Record<string, ColumnForm>> = {
  ...ratedLineColumnsOfForm1,
  billing_period_id: 'text',
};
const ratedLineColumnsOfForm3: Readonly<Record<string, ColumnForm>> = {
  ...ratedLineColumnsOfForm2,
  id: 'text',
  parts: 'text',
  hash_version: 'text',
  input_hash: 'text',
  output_hash: 'text',
};
export const ratedLineColumns = {
  1: ratedLineColumnsOfForm1,
  2: ratedLineColumnsOfForm2,
  3: ratedLineColumnsOfForm3,
  // The same columns, digested as rows and not as texts.
  4: ratedLineColumnsOfForm3,
} as const satisfies Readonly<Record<number, Readonly<Record<string, ColumnForm>>>>;
