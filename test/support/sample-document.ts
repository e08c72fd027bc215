/** An invoice to be printed, with what a test changes of it. */
import type { DocumentLine, InvoiceDocument } from '../../invoicer/documents/invoice-document.ts';
import type { Currency } from '../../schemas/currency.ts';

const october = { start: Date.UTC(2026, 9, 1), end: Date.UTC(2026, 10, 1) };

const plain = { unitAmount: null, period: october, discounts: [], taxes: [] };
const step = { kind: 'units', from: '0', to: null, flatAmount: '0' } as const;

/** A flat fee, a price per unit, and tiers, in turn. */
export const sampleLine = (index: number): DocumentLine => {
  const kinds: DocumentLine[] = [
    {
      ...plain,
      description: 'Platform fee',
      quantity: '1',
      amount: '499.00',
      steps: [{ ...step, kind: 'flat', priced: '0', unitAmount: '0', flatAmount: '499', amount: '499' }],
    },
    {
      ...plain,
      description: `Seat licence, team ${index}`,
      quantity: '12',
      amount: '240.00',
      steps: [{ ...step, priced: '12', unitAmount: '20', amount: '240' }],
    },
    {
      ...plain,
      description: `API calls, region ${index}`,
      quantity: '125000',
      amount: '112.50',
      steps: [
        { ...step, kind: 'free', to: '1000', priced: '1000', unitAmount: '0', amount: '0' },
        { ...step, from: '1000', to: '100000', priced: '99000', unitAmount: '0.001', amount: '99' },
        { ...step, from: '100000', priced: '25000', unitAmount: '0.00054', amount: '13.5' },
      ],
    },
  ];
  return kinds[index % kinds.length] as DocumentLine;
};

export const sampleDocument = (changes: Partial<InvoiceDocument> = {}, lines = 3): InvoiceDocument => ({
  language: 'en',
  timeZone: 'UTC',
  currency: 'USD' as Currency,
  documentNumber: 'INV-2026-000042',
  issuedAt: Date.UTC(2026, 10, 1, 4, 5, 6),
  dueAt: Date.UTC(2026, 11, 1),
  purchaseOrder: 'PO-7781',
  customFields: [{ name: 'Project', value: 'Apollo' }],
  seller: {
    name: 'Weir Cloud Ltd.',
    address: { line1: '12 Weir Lane', city: 'Bristol', postalCode: 'BS1 4DJ', country: 'GB' },
    taxIds: [{ type: 'gb_vat', value: 'GB123456789' }],
    email: 'billing@weir.example',
  },
  buyer: {
    name: 'Müller & Söhne GmbH',
    address: { line1: 'Lange Straße 5', city: 'Berlin', postalCode: '10115', country: 'DE' },
    taxIds: [{ type: 'eu_vat', value: 'DE123456789' }],
    email: 'ap@mueller.example',
  },
  lines: Array.from({ length: lines }, (_, index) => sampleLine(index)),
  discounts: [],
  taxes: [],
  subtotal: '851.50',
  discountTotal: '0.00',
  taxTotal: '0.00',
  total: '851.50',
  memo: 'Thank you.\nPlease name the invoice number.',
  paymentUrl: 'https://pay.example.com/i/abc123?x=1&y=2',
  hash: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  verifyUrl: null,
  logo: null,
  credit: null,
  ...changes,
});
