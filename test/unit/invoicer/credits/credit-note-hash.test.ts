import { describe, expect, it } from 'vitest';
import { issuedCreditNoteToJson } from '#schemas/credit-note/content.ts';
import type { CreditNote } from '#schemas/credit-note.ts';
import { type Amount, parseAmount } from '#schemas/money.ts';
import { verifyExportedCredits } from '../../../../api/verify/verify-exported-credits.ts';
import { canonicalCreditNote, creditLinkFault } from '../../../../invoicer/credits/credit-note-hash.ts';
import { chainHash, genesisHash } from '../../../../invoicer/invoices/invoice-hash.ts';

const amount = (text: string): Amount => parseAmount(text) as Amount;
const tax = {
  taxRateId: 'txr_1',
  code: 'de',
  name: 'VAT',
  percentage: '19',
  isInclusive: false,
  treatment: 'taxed' as const,
  taxableAmount: amount('10'),
  amount: amount('1.9'),
};
const discount = { discountId: 'dsc_1', couponId: 'cpn_1', name: 'Launch', amount: amount('1') };
const content = {
  contentVersion: 1 as const,
  id: 'crn_1',
  tenant: 'ten_1',
  number: 2,
  documentNumber: 'CN-2026-000002',
  issuedAt: Date.UTC(2026, 10, 1, 0, 0, 0, 500),
  invoice: { id: 'inv_1', number: 7, documentNumber: 'INV-2026-000007', hash: 'a'.repeat(64) },
  customerId: 'cus_1',
  currency: 'EUR' as const,
  reason: 'order_change' as const,
  memo: 'Less – of it',
  settlement: 'refund' as const,
  prePaymentAmount: amount('1.9'),
  postPaymentAmount: amount('10'),
  issuingEntityId: 'ent_1',
  seller: { legalName: 'Weir GmbH', address: null, taxIds: [{ type: 'eu_vat', value: 'DE136695976' }] },
  buyerDigest: 'b'.repeat(64),
  lines: [
    {
      position: 1,
      invoiceLine: 3,
      billingPeriodId: 'bpd_1',
      chargeCode: 'base',
      description: 'Base fee',
      servicePeriod: { start: Date.UTC(2026, 9, 1), end: Date.UTC(2026, 10, 1) },
      amount: amount('11'),
      discounts: [discount],
      taxes: [tax],
    },
  ],
  discounts: [discount],
  taxes: [tax],
  subtotal: amount('11'),
  discountTotal: amount('1'),
  taxTotal: amount('1.9'),
  total: amount('11.9'),
};
const note: CreditNote = {
  ...content,
  previousHash: genesisHash,
  hash: chainHash(genesisHash, canonicalCreditNote(content)),
};

describe('the hash of a credit note', () => {
  it('[I35] is for good: of this one it was computed by another program', () => {
    // Python: sha256 of 64 zeros, a line feed, and json.dumps(content, sort_keys=True, separators=(',', ':')).
    expect(note.hash).toBe('330fd5f97f169b576d2e177f8551dc2178c6b7677b1064ea6b2e01f48d0e7fb5');
  });

  it('covers each member, and where it stands in the chain', () => {
    const last = { number: 1, hash: genesisHash };
    expect(creditLinkFault(note, last)).toBeUndefined();
    expect(creditLinkFault({ ...note, memo: null }, last)).toBe('hash_differs');
    expect(creditLinkFault({ ...note, invoice: { ...note.invoice, hash: 'c'.repeat(64) } }, last)).toBe('hash_differs');
    expect(creditLinkFault(note, { ...last, number: 2 })).toBe('number_out_of_sequence');
    expect(creditLinkFault(note, { ...last, hash: 'c'.repeat(64) })).toBe('previous_hash_differs');
    expect(creditLinkFault({ ...note, total: 1n as Amount }, last)).toBe('content_unreadable');
  });

  it('is checked from the answer alone, whatever text of it is changed', () => {
    const json = issuedCreditNoteToJson(note);
    const reasons = (text: string) =>
      verifyExportedCredits(text).flatMap(({ faults }) => faults.map(({ reason }) => reason));
    expect(reasons(JSON.stringify({ ...json, metadata: { a: 'b' } }))).toEqual([]);
    for (const name of Object.keys(json)) {
      if (name === 'content_version' || name === 'previous_hash' || name === 'tenant') continue;
      expect([name, reasons(JSON.stringify({ ...json, [name]: 'x' })).length > 0]).toEqual([name, true]);
    }
  });

  it('and held against the invoice where that is there too', () => {
    const invoice = {
      id: 'inv_1',
      tenant: 'ten_1',
      hash: 'a'.repeat(64),
      total: '11.90',
      lines: [{ position: 3, amount: '11.00' }],
    };
    const reasons = (...more: object[]) =>
      verifyExportedCredits(
        [issuedCreditNoteToJson(note), ...more].map((one) => JSON.stringify(one)).join('\n'),
      ).flatMap(({ faults }) => faults.map(({ reason }) => reason));
    expect(reasons(invoice)).toEqual([]);
    expect(reasons({ ...invoice, hash: 'b'.repeat(64) })).toEqual(['invoice_differs']);
    expect(reasons({ ...invoice, total: '11.89' })).toEqual(['credited_beyond_total']);
    expect(reasons({ ...invoice, lines: [{ position: 3, amount: '10.99' }] })).toEqual(['line_credited_beyond_amount']);
    expect(reasons({ ...invoice, lines: [] })).toEqual(['line_credited_beyond_amount']);
  });
});
