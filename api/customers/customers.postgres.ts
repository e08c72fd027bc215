/** Customers: rows of PostgreSQL, whose personal fields are sealed, as customers. */
import { randomBytes } from 'node:crypto';
import { newId } from '#platform/process/ids.ts';
import { isUnderOwnKey } from '#platform/secrets/encryption.ts';
import { deleteOwnKey, insertOwnKeys } from '#platform/secrets/own-keys.ts';
import type { Place, Vault } from '#platform/secrets/vault.ts';
import { customerIdOf, customerNamed, externalIdsOf } from '#platform/stores/customer-names.ts';
import {
  erasedName,
  type InvoiceDefaults,
  type Invoicing,
  type MinimumInvoiceAmounts,
  type Personal,
} from '#schemas/http/customers.ts';
import type { Instant } from '#schemas/period.ts';
import type { CustomerTaxTreatment } from '#schemas/tax-rate.ts';
import { buyerDetails, buyerDigest, isSameBuyer } from '../../invoicer/documents/buyer-details.ts';
import { emptyAnswers } from '../route/answers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead } from '../route/resource-fields.ts';
import { type CustomerDetails, deleteDetails, deleteDocuments, keepDetails } from './customer-details.postgres.ts';
import { customerNameStore, externalIdsNow, isTaken, namedParameters, selectNamed } from './customer-names.postgres.ts';
import type { CustomerTax } from './customer-tax.ts';
import { taxPlaceOf } from './tax-place.ts';

const saltBytes = 32;

type StoredCustomer = {
  id: string;
  external_id: string;
  external_ids: string[];
  /** Only in rows from before personal fields were sealed. */
  name: string | null;
  personal: Buffer | null;
  /** The customer's own key; none in rows from before there were such keys, and of one who was erased. */
  wrapped: Buffer | null;
  currency: string | null;
  time_zone: string;
  language: string | null;
  payment_days: number | null;
  invoicing: Invoicing;
  issuing_entity_id: string | null;
  invoice_defaults: InvoiceDefaults | null;
  minimum_invoice_amounts: MinimumInvoiceAmounts | null;
  parent_id: string | null;
  tax_treatment: CustomerTaxTreatment;
  tax_exemption_reason: string | null;
  tax_rate_ids: string[];
  details_version: number | null;
  details_digest: string | null;
  archived_at: Date | null;
  erased_at: Date | null;
  metadata: Record<string, string>;
  version: number;
  created_at: Date;
  updated_at: Date;
};

export type Customer = ResourceHead & {
  readonly id: string;
  readonly externalId: string;
  /** External ids that it had before, from the earliest on. */
  readonly aliases: readonly string[];
  readonly personal: Personal;
  /** What it pays in; null where that is a matter of each plan. */
  readonly currency: string | null;
  /** IANA. */
  readonly timeZone: string;
  /** BCP 47. */
  readonly language: string | null;
  /** Until an invoice is due; null: nothing was agreed. */
  readonly paymentDays: number | null;
  readonly invoicing: Invoicing;
  /** Null: whom the organization names. */
  readonly issuingEntityId: string | null;
  readonly invoiceDefaults: InvoiceDefaults | null;
  /** Currency by currency in place of those of the organization. */
  readonly minimumAmounts: MinimumInvoiceAmounts | null;
  readonly parentId: string | null;
  readonly tax: CustomerTax;
  readonly archivedAt: Instant | undefined;
  /** Since when nothing personal of it is left. */
  readonly erasedAt: Instant | undefined;
  /** What its invoices say of it. Undefined where it was not written since there is such, and where it was erased. */
  readonly details: CustomerDetails | undefined;
  /** As it is kept. Undefined where it has none yet, and for good where it was erased. */
  readonly ownKey: Buffer | undefined;
};

/** What of a customer changes. */
export type CustomerContent = Pick<
  Customer,
  | 'personal'
  | 'currency'
  | 'timeZone'
  | 'language'
  | 'paymentDays'
  | 'invoicing'
  | 'issuingEntityId'
  | 'invoiceDefaults'
  | 'minimumAmounts'
  | 'parentId'
  | 'tax'
  | 'metadata'
>;
type CustomerState = CustomerContent & Pick<Customer, 'archivedAt'>;

/** Who subscribes. */
export type Payer = Pick<Customer, 'id' | 'currency' | 'timeZone'> & {
  readonly isArchived: boolean;
  /** By which it lives, with its hour; undefined where that is the hour of all. */
  readonly clock: { readonly id: string; readonly now: Instant } | undefined;
};

type PayerRow = {
  id: string;
  currency: string | null;
  time_zone: string;
  test_clock_id: string | null;
  clock_now: Date | null;
  archived_at: Date | null;
};

const payerColumns = 'c.id, c.currency, c.time_zone, c.archived_at, c.test_clock_id, k.now_at AS clock_now';
const payersFrom = 'customers c LEFT JOIN test_clocks k ON k.id = c.test_clock_id';

const payerFromRow = (row: PayerRow): Payer => ({
  id: row.id,
  currency: row.currency,
  timeZone: row.time_zone,
  isArchived: row.archived_at !== null,
  clock: row.test_clock_id && row.clock_now ? { id: row.test_clock_id, now: row.clock_now.getTime() } : undefined,
});

const customerColumns = `c.id, c.external_id, ${externalIdsOf('c')} AS external_ids,
  c.name, c.personal, c.currency, c.time_zone, c.language,
  c.payment_days, c.invoicing, c.issuing_entity_id, c.invoice_defaults, c.minimum_invoice_amounts,
  c.parent_id, c.tax_treatment,
  c.tax_exemption_reason, c.tax_rate_ids, c.details_version, c.details_digest, c.archived_at, c.erased_at, c.metadata,
  c.version, c.created_at, c.updated_at`;
const withKeys =
  'customers c LEFT JOIN customer_keys k ON k.organization_id = c.organization_id AND k.customer_id = c.id';

type Archived = 'exclude' | 'include' | 'only';
const archivedIs = { exclude: 'c.archived_at IS NULL', include: 'true', only: 'c.archived_at IS NOT NULL' } as const;
const countedIn = { exclude: 'current', include: 'current + archived', only: 'archived' } as const;

export const customerList = defineList({
  name: 'customers',
  columns: `${customerColumns}, k.wrapped`,
  from: withKeys,
  countFrom: 'customers c',
  id: 'c.id',
  organization: 'c.organization_id',
  gathersFirst: true,
  sorts: {
    created_at: { column: 'c.created_at', type: 'timestamptz' },
    external_id: { column: 'c.external_id', type: 'text' },
  },
  filters: {
    external_id: {
      column: 'c.id',
      description: 'An external id that the customer has or had.',
      resolve: (value) => customerIdOf(value),
      lead: () => '',
    },
    parent_id: customerFilter('c.parent_id'),
    external_id_prefix: {
      column: 'c.external_id',
      // By age, rows that match may stand behind a million that don't.
      sort: 'external_id',
      description:
        'What the external id begins with, character by character; sorted by external id where nothing else is said.',
      test: (value) => `c.external_id ^@ ${value}`,
    },
    archived: {
      column: 'c.archived_at',
      choices: ['exclude', 'include', 'only'],
      default: 'exclude',
      description: 'Whether to list those that are archived.',
      test: (value, text) => `(${value}::text = 'include' OR ${archivedIs[text as Archived]})`,
    },
  },
  keptTotal: ({ archived, ...others }) =>
    Object.keys(others).length > 0
      ? undefined
      : `SELECT coalesce(sum(${countedIn[archived as Archived]}), 0)::bigint AS total FROM customer_counts
         WHERE organization_id = $1`,
  times: { created_at: 'c.created_at' },
});

const placeOf = (organizationId: string, id: string, own: Buffer | undefined): Place => ({
  organizationId,
  table: 'customers',
  column: 'personal',
  row: id,
  key: { kind: 'customer', customerId: id, own },
});

/** In the order of their columns: where it is, of which countries its tax ids are, and what it says of its taxes. */
const taxValues = ({ personal, tax }: Pick<CustomerContent, 'personal' | 'tax'>) => {
  const { country, state, taxIdCountries } = taxPlaceOf(personal);
  return [country, state, taxIdCountries, tax.treatment, tax.exemptionReason, tax.rateIds];
};

/** What is sealed of a customer: what is personal, and the salt of its details. */
type Sealed = Personal & { readonly details_salt?: string };

const toBytes = (personal: Personal, { salt }: Pick<CustomerDetails, 'salt'>): Buffer =>
  Buffer.from(JSON.stringify({ ...personal, details_salt: salt } satisfies Sealed));

const newDetails = (personal: Personal, version: number): CustomerDetails => {
  const salt = randomBytes(saltBytes).toString('hex');
  return { version, salt, digest: buyerDigest({ ...buyerDetails(personal), salt }) };
};

const fromSealed = (
  { name, details_version: version, details_digest: digest }: StoredCustomer,
  bytes: Buffer | undefined,
): Pick<Customer, 'personal' | 'details'> => {
  if (!bytes) return { personal: { name: name ?? erasedName }, details: undefined };
  const { details_salt: salt, ...personal } = JSON.parse(bytes.toString()) as Sealed;
  const hasDetails = version !== null && digest !== null && salt !== undefined;
  return { personal, details: hasDetails ? { version, digest, salt } : undefined };
};

/** Undefined where the customer has none. */
const ownKeyOf = async (db: Db, id: string): Promise<Buffer | undefined> => {
  const { rows } = await db.query<{ wrapped: Buffer }>(
    'SELECT wrapped FROM customer_keys WHERE organization_id = $1 AND customer_id = $2',
    [db.organizationId, id],
  );
  return rows[0]?.wrapped;
};

export const createCustomerStore = (vault: Vault) => {
  const opened = async (db: Db, stored: readonly StoredCustomer[]): Promise<Customer[]> => {
    const sealed = stored.flatMap(({ id, personal, wrapped }) =>
      personal ? [{ place: placeOf(db.organizationId, id, wrapped ?? undefined), sealed: personal }] : [],
    );
    const clear = (await vault.openMany(db, sealed)).values();
    return stored.map((row) => ({
      id: row.id,
      externalId: row.external_id,
      aliases: row.external_ids.filter((name) => name !== row.external_id),
      currency: row.currency,
      timeZone: row.time_zone,
      language: row.language,
      paymentDays: row.payment_days,
      invoicing: row.invoicing,
      issuingEntityId: row.issuing_entity_id,
      invoiceDefaults: row.invoice_defaults,
      minimumAmounts: row.minimum_invoice_amounts,
      parentId: row.parent_id,
      tax: {
        treatment: row.tax_treatment,
        exemptionReason: row.tax_exemption_reason,
        rateIds: row.tax_rate_ids,
      },
      archivedAt: row.archived_at?.getTime(),
      erasedAt: row.erased_at?.getTime(),
      ownKey: row.wrapped ?? undefined,
      ...headFromRow(row),
      ...fromSealed(row, row.personal ? (clear.next().value as Buffer) : undefined),
    }));
  };
  const one = async (db: Db, stored: StoredCustomer | undefined): Promise<Customer | undefined> =>
    stored && (await opened(db, [stored]))[0];

  return {
    ...customerNameStore,
    customerList,
    /**
     * Undefined where the external id is taken. `whileLast` is called with its id while the last statement that writes
     * it is on its way.
     */
    addCustomer: async (
      db: Db,
      customer: CustomerContent & { readonly externalId: string },
      now: Date,
      whileLast: (id: string) => void = () => {},
    ): Promise<Customer | undefined> => {
      const id = newId('cus');
      const ownKey = await vault.newOwnKey(db, db.organizationId, id);
      const details = newDetails(customer.personal, 1);
      const personal = await vault.seal(
        db,
        placeOf(db.organizationId, id, ownKey),
        toBytes(customer.personal, details),
      );
      const adding = db.query<StoredCustomer>(
        `WITH c AS (
           INSERT INTO customers (id, organization_id, external_id, personal, currency, time_zone, language,
             payment_days, invoicing, parent_id, metadata, version, created_at, updated_at, issuing_entity_id,
             invoice_defaults, tax_country, tax_state, tax_id_countries, tax_treatment, tax_exemption_reason,
             tax_rate_ids, details_version, details_digest, minimum_invoice_amounts)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $12, $14, $15, $16, $17, $18, $19, $20, $21,
             1, $22, $23)
           ON CONFLICT (organization_id, external_id) DO NOTHING RETURNING *
         ), k AS (
           ${insertOwnKeys('organization_id', 'id', '$13', 'c')} RETURNING wrapped
         )
         SELECT ${customerColumns}, k.wrapped FROM c, k`,
        [
          id,
          db.organizationId,
          customer.externalId,
          personal,
          customer.currency,
          customer.timeZone,
          customer.language,
          customer.paymentDays,
          customer.invoicing,
          customer.parentId,
          customer.metadata,
          now,
          ownKey,
          customer.issuingEntityId,
          customer.invoiceDefaults,
          ...taxValues(customer),
          details.digest,
          customer.minimumAmounts,
        ],
      );
      whileLast(id);
      try {
        return await one(db, (await adding).rows[0]);
      } catch (error) {
        // Another customer had the name: the table of names refuses it.
        if (isTaken(error)) return undefined;
        throw error;
      }
    },
    /** By id or external id; `lock` holds the row until the transaction ends. */
    customer: async (db: Db, idOrExternalId: string, lock?: 'lock'): Promise<Customer | undefined> => {
      const { rows } = await db.query<StoredCustomer>(
        `SELECT ${customerColumns}, k.wrapped FROM ${withKeys}
         WHERE c.organization_id = $1 AND c.id = ${customerNamed(idOrExternalId, '$2')}
         ${lock ? 'FOR NO KEY UPDATE OF c' : ''}`,
        [db.organizationId, idOrExternalId],
      );
      const [found] = rows;
      // Who waited for the lock has the row as it is now, and its names and its key as they were before, when there may
      // have been none.
      const row = found && lock ? { ...found, external_ids: await externalIdsNow(db, found.id) } : found;
      const isKeyMissing = row?.personal && row.wrapped === null && isUnderOwnKey(row.personal);
      return one(db, isKeyMissing ? { ...row, wrapped: (await ownKeyOf(db, row.id)) ?? null } : row);
    },
    /** By id or external id, without opening what is sealed; with `lock` until the transaction ends. */
    payer: async (db: Db, idOrExternalId: string, lock?: 'lock'): Promise<Payer | undefined> => {
      const { rows } = await db.query<PayerRow>(
        `SELECT ${payerColumns} FROM ${payersFrom}
         WHERE c.organization_id = $1 AND c.id = ${customerNamed(idOrExternalId, '$2')}
         ${lock ? 'FOR NO KEY UPDATE OF c' : ''}`,
        [db.organizationId, idOrExternalId],
      );
      return rows[0] && payerFromRow(rows[0]);
    },
    /** The same of several, by the names that they are called by; names of nobody are missing. */
    payers: async (db: Db, names: readonly string[]): Promise<ReadonlyMap<string, Payer>> => {
      const { rows } = await db.query<PayerRow & { name: string }>(
        `SELECT n.name, c.* FROM (${selectNamed}) AS n CROSS JOIN LATERAL (
           SELECT ${payerColumns} FROM ${payersFrom} WHERE c.organization_id = $1 AND c.id = n.id OFFSET 0
         ) c`,
        namedParameters(db, names),
      );
      return new Map(rows.map((row) => [row.name, payerFromRow(row)]));
    },
    /** Of one that has no subscription; resolves with whether it has none. */
    attachToClock: async (db: Db, id: string, clockId: string, now: Date): Promise<boolean> => {
      const { rowCount } = await db.query(
        `UPDATE customers c SET test_clock_id = $3, version = version + 1, updated_at = $4
         WHERE c.organization_id = $1 AND c.id = $2
           AND NOT EXISTS (SELECT 1 FROM subscriptions s WHERE s.customer_id = c.id)`,
        [db.organizationId, id, clockId, now],
      );
      return Boolean(rowCount);
    },
    changeCustomer: async (
      db: Db,
      /** As it was read under its lock. */
      before: Pick<Customer, 'id' | 'ownKey' | 'personal' | 'details'>,
      { archivedAt, ...content }: CustomerState,
      now: Date,
    ): Promise<Customer> => {
      const { id, ownKey } = before;
      const key = ownKey ?? (await vault.newOwnKey(db, db.organizationId, id));
      const isReplaced = before.details !== undefined && !isSameBuyer(before.personal, content.personal);
      if (isReplaced) await keepDetails(db, vault, { ...before, ownKey: key }, now);
      const details =
        before.details && !isReplaced
          ? before.details
          : newDetails(content.personal, (before.details?.version ?? 0) + 1);
      const sealed = await vault.seal(db, placeOf(db.organizationId, id, key), toBytes(content.personal, details));
      const { rows } = await db.query<StoredCustomer>(
        `${ownKey === undefined ? `WITH keyed AS (${insertOwnKeys('$1', '$2', '$8')})` : ''}
         UPDATE customers c SET name = NULL, personal = $3, metadata = $4, version = version + 1, updated_at = $5,
           currency = $6, time_zone = $7, archived_at = $9, language = $10, payment_days = $11, invoicing = $12,
           parent_id = $13, issuing_entity_id = $14, invoice_defaults = $15, tax_country = $16, tax_state = $17,
           tax_id_countries = $18, tax_treatment = $19, tax_exemption_reason = $20, tax_rate_ids = $21,
           details_version = $22, details_digest = $23, minimum_invoice_amounts = $24
         WHERE organization_id = $1 AND id = $2 RETURNING ${customerColumns}, $8::bytea AS wrapped`,
        [
          db.organizationId,
          id,
          sealed,
          content.metadata,
          now,
          content.currency,
          content.timeZone,
          key,
          archivedAt === undefined ? null : new Date(archivedAt),
          content.language,
          content.paymentDays,
          content.invoicing,
          content.parentId,
          content.issuingEntityId,
          content.invoiceDefaults,
          ...taxValues(content),
          details.version,
          details.digest,
          content.minimumAmounts,
        ],
      );
      return (await opened(db, rows))[0] as Customer;
    },
    /** Whether a subscription of it is pending or active, by the hour that it lives by. */
    isSubscribed: async (db: Db, id: string, now: Date): Promise<boolean> => {
      const { rowCount } = await db.query(
        `SELECT 1 FROM subscriptions s LEFT JOIN test_clocks k ON k.id = s.test_clock_id
         WHERE s.organization_id = $1 AND s.customer_id = $2
           AND (s.ended_at IS NULL OR s.ended_at > coalesce(k.now_at, $3)) LIMIT 1`,
        [db.organizationId, id, now],
      );
      return rowCount === 1;
    },
    /** Ends the customer's key, with all that it sealed, and takes away what may be about a person beside it. */
    eraseCustomer: async (db: Db, id: string, now: Date): Promise<Customer> => {
      await emptyAnswers(db, id);
      const { rows } = await db.query<StoredCustomer>(
        `WITH shredded AS (${deleteOwnKey('$1', '$2')}), forgotten AS (${deleteDetails('$1', '$2')}),
           documents AS (${deleteDocuments('$1', '$2')})
         UPDATE customers c SET name = NULL, personal = NULL, details_version = NULL, details_digest = NULL,
           metadata = '{}', invoice_defaults = NULL, tax_country = NULL, tax_state = NULL,
           tax_id_countries = '{}', tax_exemption_reason = NULL,
           version = version + 1, updated_at = $3, erased_at = $3, archived_at = coalesce(archived_at, $3)
         WHERE organization_id = $1 AND id = $2 RETURNING ${customerColumns}, NULL::bytea AS wrapped`,
        [db.organizationId, id, now],
      );
      return (await opened(db, rows))[0] as Customer;
    },
    customers: async (db: Db, page: ListPage) => {
      const { rows, ...rest } = await listRows<StoredCustomer>(db, customerList, db.organizationId, page);
      return { ...rest, rows: await opened(db, rows) };
    },
  };
};

export type CustomerStore = ReturnType<typeof createCustomerStore>;
