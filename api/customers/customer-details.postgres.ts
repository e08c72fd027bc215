/**
 * The details of customers that were replaced, as rows of PostgreSQL: each sealed by the key of its customer, and named
 * by its digest, which an invoice has of the one that stood when it was issued.
 */
import type { Place, Vault } from '#platform/secrets/vault.ts';
import type { Personal } from '#schemas/http/customers.ts';
import type { Instant } from '#schemas/period.ts';
import {
  type BuyerDetails,
  buyerDetails,
  buyerDigest,
  type SaltedDetails,
} from '../../invoicer/documents/buyer-details.ts';
import type { Db } from '../route/define-route.ts';

/** Which version of its details a customer is at. */
export type CustomerDetails = { readonly version: number; readonly digest: string; readonly salt: string };

/** What of a customer its details take. */
type Owner = {
  readonly id: string;
  readonly ownKey: Buffer | undefined;
  readonly personal: Personal;
  readonly details: CustomerDetails | undefined;
};

/** A version of a customer's details. */
export type DetailsVersion = SaltedDetails & {
  readonly version: number;
  readonly digest: string;
  /** Undefined: it is the current one. */
  readonly replacedAt: Instant | undefined;
};

type DetailsRow = { version: number; digest: string; sealed: Buffer; replaced_at: Date };

const placeOf = (organizationId: string, customerId: string, digest: string, own: Buffer | undefined): Place => ({
  organizationId,
  table: 'customer_details',
  column: 'sealed',
  row: digest,
  key: { kind: 'customer', customerId, own },
});

/** The current version of a customer, which is about to be replaced. */
export const keepDetails = async (
  db: Db,
  vault: Vault,
  { id, ownKey, personal, details }: Owner,
  now: Date,
): Promise<void> => {
  if (!details) return;
  const { version, digest, salt } = details;
  const salted: SaltedDetails = { ...buyerDetails(personal), salt };
  const sealed = await vault.seal(
    db,
    placeOf(db.organizationId, id, digest, ownKey),
    Buffer.from(JSON.stringify(salted)),
  );
  await db.query(
    `INSERT INTO customer_details (organization_id, customer_id, version, digest, sealed, replaced_at)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [db.organizationId, id, version, digest, sealed, now],
  );
};

/** What the key of an erased customer sealed opens no more, so nothing is kept of it. The texts are ours. */
export const deleteDetails = (organization: string, customer: string): string =>
  `DELETE FROM customer_details WHERE organization_id = ${organization} AND customer_id = ${customer}`;

/** Of its invoices. */
export const deleteDocuments = (organization: string, customer: string): string =>
  `DELETE FROM invoice_documents WHERE organization_id = ${organization} AND customer_id = ${customer}`;

const currentOf = ({ personal, details }: Owner): readonly DetailsVersion[] =>
  details ? [{ ...buyerDetails(personal), ...details, replacedAt: undefined }] : [];

export const createCustomerDetails = (vault: Vault) => {
  const opened = async (db: Db, { id, ownKey }: Owner, rows: readonly DetailsRow[]): Promise<DetailsVersion[]> => {
    const sealed = rows.map(({ digest, sealed }) => ({
      place: placeOf(db.organizationId, id, digest, ownKey),
      sealed,
    }));
    const clear = await vault.openMany(db, sealed);
    return rows.map(({ version, digest, replaced_at }, index) => ({
      ...(JSON.parse((clear[index] as Buffer).toString()) as SaltedDetails),
      version,
      digest,
      replacedAt: replaced_at.getTime(),
    }));
  };
  return {
    /** All versions, from the first one on. */
    detailsVersions: async (db: Db, customer: Owner): Promise<DetailsVersion[]> => {
      const { rows } = await db.query<DetailsRow>(
        `SELECT version, digest, sealed, replaced_at FROM customer_details
         WHERE organization_id = $1 AND customer_id = $2 ORDER BY version`,
        [db.organizationId, customer.id],
      );
      return [...(await opened(db, customer, rows)), ...currentOf(customer)];
    },
    /** Those that an invoice names; undefined where they were erased. What has another digest is refused as broken. */
    detailsByDigest: async (db: Db, customer: Owner, digest: string): Promise<BuyerDetails | undefined> => {
      const [current] = currentOf(customer);
      if (current?.digest === digest) return verified(current);
      const { rows } = await db.query<DetailsRow>(
        `SELECT version, digest, sealed, replaced_at FROM customer_details
         WHERE organization_id = $1 AND customer_id = $2 AND digest = $3`,
        [db.organizationId, customer.id, digest],
      );
      const [kept] = await opened(db, customer, rows);
      return kept && verified(kept);
    },
  };
};

const verified = (version: DetailsVersion): BuyerDetails => {
  if (buyerDigest(version) !== version.digest)
    throw new Error(`the details of a customer don't have their digest ${version.digest}`);
  return version;
};

export type CustomerDetailsStore = ReturnType<typeof createCustomerDetails>;
