/**
 * Every column that is encrypted at rest. Its table and name are part of what authenticates a value, so whoever seals,
 * opens or re-seals takes them from here; a column that is missing here is left behind when keys are rotated.
 */
export type SealedColumn = {
  readonly table: string;
  readonly column: string;
  /** The column that names the row within its organization. */
  readonly row: string;
  /** Which key seals it: the own key of a customer, or one per organization for the purpose. */
  readonly kind: 'customer' | 'customer_key' | 'secret' | 'answer';
  /** The column with the customer's id, where the keys of customers seal. */
  readonly customer?: string;
  /** A text column that held the value in clear before there was encryption; sealed as JSON under its name. */
  readonly clear?: string;
};

export const sealedColumns = {
  personal: { table: 'customers', column: 'personal', row: 'id', kind: 'customer', customer: 'id', clear: 'name' },
  /** Always under an own key: there were own keys before there was the table. */
  details: {
    table: 'customer_details',
    column: 'sealed',
    row: 'digest',
    kind: 'customer',
    customer: 'customer_id',
  },
  document: {
    table: 'invoice_documents',
    column: 'sealed',
    row: 'invoice_id',
    kind: 'customer',
    customer: 'customer_id',
  },
  quoteReply: { table: 'quotes', column: 'personal', row: 'id', kind: 'customer', customer: 'customer_id' },
  customerKey: { table: 'customer_keys', column: 'wrapped', row: 'customer_id', kind: 'customer_key' },
  signingSecret: { table: 'api_keys', column: 'signing_secret', row: 'id', kind: 'secret' },
  /** One with personal fields is under the key of its customer, which stays until the answer is forgotten. */
  answer: { table: 'idempotency_keys', column: 'body', row: 'key', kind: 'answer' },
} as const satisfies Record<string, SealedColumn>;
