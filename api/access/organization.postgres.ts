/** The organization of the caller, as a row of PostgreSQL: one for each of its worlds. */
import type { MinimumInvoiceAmounts } from '#schemas/http/customers.ts';
import type { OrganizationTier } from '#schemas/rate-tiers.ts';
import type { PolicyRounding } from '#schemas/rated-line.ts';
import type { TaxCalculation, TaxRounding } from '#schemas/tax-rate.ts';
import type { Db } from '../route/define-route.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

/** What of an organization its own keys change. */
export type OrganizationSettings = Pick<ResourceHead, 'metadata'> & {
  readonly name: string;
  readonly rounding: PolicyRounding;
  readonly taxRounding: TaxRounding;
  readonly taxCalculation: TaxCalculation;
  /** Whether and how its periods are closed without anybody asking for it. */
  /** Who issues the invoices of customers that name no other; null: nobody in particular. */
  readonly issuingEntityId: string | null;
  /** Of customers with whom nothing else was agreed. */
  readonly paymentDays: number | null;
  /** Below which what is due is carried over; null: none. */
  readonly minimumAmounts: MinimumInvoiceAmounts | null;
  readonly closing: { readonly automatic: boolean; readonly graceMinutes: number };
  readonly invoicing: { readonly draftMinutes: number };
};

export type Organization = ResourceHead &
  OrganizationSettings & { readonly id: string; readonly tier: OrganizationTier };

type OrganizationRow = ResourceRow & {
  id: string;
  name: string;
  tier: OrganizationTier;
  rounding: PolicyRounding;
  tax_rounding: TaxRounding;
  tax_calculation: TaxCalculation;
  closing_automatic: boolean;
  closing_grace_minutes: number;
  draft_minutes: number;
  issuing_entity_id: string | null;
  payment_days: number | null;
  minimum_invoice_amounts: MinimumInvoiceAmounts | null;
};

const columns = `id, name, tier, rounding, tax_rounding, tax_calculation, closing_automatic, closing_grace_minutes,
  draft_minutes, issuing_entity_id, payment_days, minimum_invoice_amounts, metadata, version, created_at, updated_at`;

const fromRow = (row: OrganizationRow): Organization => ({
  id: row.id,
  name: row.name,
  tier: row.tier,
  rounding: row.rounding,
  issuingEntityId: row.issuing_entity_id,
  paymentDays: row.payment_days,
  minimumAmounts: row.minimum_invoice_amounts,
  taxRounding: row.tax_rounding,
  taxCalculation: row.tax_calculation,
  closing: { automatic: row.closing_automatic, graceMinutes: row.closing_grace_minutes },
  invoicing: { draftMinutes: row.draft_minutes },
  ...headFromRow(row),
});

export const organizationStore = {
  /** `lock` holds the row until the transaction ends. */
  organization: async (db: Db, lock?: 'lock'): Promise<Organization> => {
    const { rows } = await db.query<OrganizationRow>(
      `SELECT ${columns} FROM organizations WHERE id = $1${lock ? ' FOR NO KEY UPDATE' : ''}`,
      [db.organizationId],
    );
    return fromRow(rows[0] as OrganizationRow);
  },
  changeOrganization: async (db: Db, settings: OrganizationSettings, now: Date): Promise<Organization> => {
    const { closing, invoicing } = settings;
    const { rows } = await db.query<OrganizationRow>(
      `UPDATE organizations SET name = $2, rounding = $3, closing_automatic = $4, closing_grace_minutes = $5,
         metadata = $6, version = version + 1, updated_at = $7, issuing_entity_id = $8, payment_days = $9,
         tax_rounding = $10, tax_calculation = $11, draft_minutes = $12, minimum_invoice_amounts = $13
       WHERE id = $1 RETURNING ${columns}`,
      [
        ...[db.organizationId, settings.name, settings.rounding, closing.automatic, closing.graceMinutes],
        ...[settings.metadata, now, settings.issuingEntityId, settings.paymentDays],
        ...[settings.taxRounding, settings.taxCalculation, invoicing.draftMinutes, settings.minimumAmounts],
      ],
    );
    return fromRow(rows[0] as OrganizationRow);
  },
};

export type OrganizationStore = typeof organizationStore;
