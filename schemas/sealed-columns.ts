/**
 * Every column that is encrypted at rest. Its table and name are part of what authenticates a value, so whoever seals,
 * opens or re-seals takes them from here; a column that is missing here is left behind when keys are rotated.
 */
export type SealedColumn = {
  readonly table: string;
  readonly column: string;
  /** The column that names the row within its organization. */
  readonly row: string;
  /** Which key seals it: one per customer, or one per organization for the purpose. */
  readonly kind: 'customer' | 'secret' | 'answer';
  /** The column with the customer's id, where each customer has a key. */
  readonly customer?: string;
  /** A text column that held the value in clear before there was encryption; sealed as JSON under its name. */
  readonly clear?: string;
};

export const sealedColumns = {
  personal: { table: 'customers', column: 'personal', row: 'id', kind: 'customer', customer: 'id', clear: 'name' },
  signingSecret: { table: 'api_keys', column: 'signing_secret', row: 'id', kind: 'secret' },
  answer: { table: 'idempotency_keys', column: 'body', row: 'key', kind: 'answer' },
} as const satisfies Record<string, SealedColumn>;
