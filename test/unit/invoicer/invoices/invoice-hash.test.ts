import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentToJson, issuedInvoiceToJson, newestContentVersion } from '#schemas/invoice/content.ts';
import { type ContentVersion, contentVersions, type IssuedInvoice } from '#schemas/invoice.ts';
import type { Amount } from '#schemas/money.ts';
import {
  canonicalContent,
  canonicalInvoice,
  chainHash,
  genesisHash,
  linkFault,
  verifyChain,
} from '../../../../invoicer/invoices/invoice-hash.ts';
import { issuedChain } from '../../../support/invoice-examples.ts';
import { scaled } from '../../../support/scale.ts';

const chain = issuedChain(5);
const chainOfVersion1 = issuedChain(3, 'ten_1', 1);
const first = chain[0] as IssuedInvoice;
const changed = (number: number, change: (invoice: IssuedInvoice) => Partial<IssuedInvoice>): IssuedInvoice[] =>
  chain.map((invoice) => (invoice.number === number ? { ...invoice, ...change(invoice) } : invoice));

describe('invoice hash', () => {
  it('is SHA-256 over the previous hash, a line feed and the canonical form', () => {
    const byHand = createHash('sha256')
      .update(`${'0'.repeat(64)}\n{"a":1}`)
      .digest('hex');
    expect(chainHash(genesisHash, '{"a":1}')).toBe(byHand);
    expect(byHand).toMatch(/^[0-9a-f]{64}$/);
  });

  const ofOneLine = ({ lines, ...rest }: IssuedInvoice) => ({ ...rest, lines: lines.slice(0, 1) });
  const baseLine =
    '"quantity":"1","rounding":"half_up","service_period":{"end":"2026-11-01T00:00:00Z","start":"2026-10-01T00:00:00Z"},' +
    '"steps":[{"amount":"20","flat_amount":"20","from":"0","kind":"flat","priced":"0","to":"1","unit_amount":"0","units":"1"}]}],';
  const taxes =
    '"taxes":[{"amount":"3.42","code":"vat","inclusive":false,"name":"VAT","percentage":"19","tax_rate_id":"txr_1","taxable_amount":"18.00","treatment":"taxed"}]';
  /** Of version 4 and 5, which differ by the tax category of a line. */
  const later = (version: number, category: string): string =>
    '{"buyer_digest":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","canonical_version":' +
    `${version},"currency":"USD",` +
    '"custom_fields":[{"name":"Cost center","value":"42"}],"customer_id":"cus_1","discount_total":"2.00","discounts":[{"amount":"2.00","coupon_id":"cpn_1","discount_id":"dsc_1","name":"Ten off"}],' +
    '"document_number":"INV-2026-000001","due_at":"2026-11-15T00:00:00.001Z","id":"inv_1","issued_at":"2026-11-01T00:00:00.001Z","issuing_entity_id":"ent_1","kind":"period",' +
    '"lines":[{"amount":"20.00","billing_period_id":"bpd_1","charge_code":"base","customer_id":"cus_1","description":"Base fee",' +
    '"discounts":[{"amount":"2.00","coupon_id":"cpn_1","discount_id":"dsc_1","name":"Ten off"}],"kind":"charge","meter":null,"position":1,"precise_amount":"20",' +
    `${baseLine.slice(0, -3)},${category}${taxes},"unit_amount":null}],"memo":"Thank you","number":1,"payment_terms":{"days":14},` +
    '"periods":[{"billing_period_id":"bpd_1","carried_over_from":"2026-10-01T00:00:00Z","customer_id":"cus_1","end":"2026-11-01T00:00:00Z","plan_version_id":"plv_1",' +
    '"start":"2026-10-01T00:00:00Z","subscription_id":"sub_1","watermark":"10"}],"purchase_order":"PO-7",' +
    '"seller":{"address":{"city":"Berlin","country":"DE","line1":"Hauptstr. 1"},"legal_name":"Millrace Example GmbH","tax_ids":[{"type":"eu_vat","value":"DE136695976"}]},' +
    `"subtotal":"20.52","tax_total":"3.42",${taxes},"tenant":"ten_1","total":"21.94"}`;
  const canonical: Record<ContentVersion, string> = {
    1:
      '{"canonical_version":1,"currency":"USD","customer_id":"cus_1","id":"inv_1","issued_at":"2026-11-01T00:00:00.001Z","kind":"period",' +
      '"lines":[{"amount":"20.00","charge_code":"base","description":"Base fee","meter":null,"position":1,"precise_amount":"20",' +
      `${baseLine}"number":1,"period":{"end":"2026-11-01T00:00:00Z","start":"2026-10-01T00:00:00Z"},"plan_version_id":"plv_1",` +
      '"subscription_id":"sub_1","subtotal":"20.52","tenant":"ten_1","total":"20.52","watermark":"10"}',
    2:
      '{"canonical_version":2,"currency":"USD","customer_id":"cus_1","id":"inv_1","issued_at":"2026-11-01T00:00:00.001Z","kind":"period",' +
      '"lines":[{"amount":"20.00","billing_period_id":"bpd_1","charge_code":"base","description":"Base fee","meter":null,"position":1,"precise_amount":"20",' +
      `${baseLine}"number":1,"periods":[{"billing_period_id":"bpd_1","end":"2026-11-01T00:00:00Z","plan_version_id":"plv_1",` +
      '"start":"2026-10-01T00:00:00Z","subscription_id":"sub_1","watermark":"10"}],"subtotal":"20.52","tenant":"ten_1","total":"20.52"}',
    3:
      '{"canonical_version":3,"currency":"USD","customer_id":"cus_1","id":"inv_1","issued_at":"2026-11-01T00:00:00.001Z","kind":"period",' +
      '"lines":[{"amount":"20.00","billing_period_id":"bpd_1","charge_code":"base","customer_id":"cus_1","description":"Base fee","meter":null,"position":1,"precise_amount":"20",' +
      `${baseLine}"number":1,"periods":[{"billing_period_id":"bpd_1","customer_id":"cus_1","end":"2026-11-01T00:00:00Z","plan_version_id":"plv_1",` +
      '"start":"2026-10-01T00:00:00Z","subscription_id":"sub_1","watermark":"10"}],"subtotal":"20.52","tenant":"ten_1","total":"20.52"}',
    4: later(4, ''),
    5: later(5, '"tax_category":"books",'),
  };

  it.each(contentVersions)('[I17] the canonical form of version %s is fixed to the byte', (version) => {
    const [invoice] = issuedChain(1, 'ten_1', version);
    expect(canonicalInvoice(ofOneLine(invoice as IssuedInvoice))).toBe(canonical[version]);
  });

  it('[I35] invoices of version 1 have the hashes that they were issued with', () => {
    expect(chainOfVersion1.map(({ hash }) => hash)).toEqual([
      '579536ee30032eeec317b6e0327466638f9c8c2f8c9b461216b350374c0eb24f',
      'e4f6bc72af77a6fc2980cff342790df9c557662df653604d23d08a428acb7f4f',
      '4f304bb332f4cb7a001513c65df08c4d39708cf6781b2e3b7922df52c95572b1',
    ]);
    expect(verifyChain(chainOfVersion1)).toEqual({ ok: true });
  });

  it('[I35] a chain goes on from one version to the next', () => {
    const [last] = chainOfVersion1.slice(-1) as [IssuedInvoice];
    const content = { ...(chain[3] as IssuedInvoice), previousHash: last.hash };
    const next = { ...content, hash: chainHash(last.hash, canonicalInvoice(content)) };
    expect(verifyChain([...chainOfVersion1, next])).toEqual({ ok: true });
    expect(verifyChain([...chainOfVersion1, { ...next, contentVersion: 1 }])).toMatchObject({ reason: 'hash_differs' });
  });

  it.each(contentVersions)('[I17] the published JSON of version %s is enough to verify an invoice', (version) => {
    const [invoice] = issuedChain(1, 'ten_1', version);
    const { hash, previous_hash, content_version, ...content } = JSON.parse(
      JSON.stringify(issuedInvoiceToJson(invoice as IssuedInvoice)),
    );
    expect(Object.keys(content)).toEqual(Object.keys(contentToJson[version](invoice as IssuedInvoice)));
    expect(chainHash(previous_hash, canonicalContent(content_version, content))).toBe(hash);
  });
});

describe('chain of invoices', () => {
  it('an untouched chain verifies, also an empty one', () => {
    expect(verifyChain(chain)).toEqual({ ok: true });
    expect(verifyChain([])).toEqual({ ok: true });
    expect(first.previousHash).toBe(genesisHash);
  });

  it.each([
    ['the total', 3, () => ({ total: 1n as Amount }), 'content_unreadable'],
    ['the total by a cent', 3, (i: IssuedInvoice) => ({ total: (i.total + 10n ** 10n) as Amount }), 'hash_differs'],
    [
      'a line’s amount',
      2,
      (i: IssuedInvoice) => ({ lines: i.lines.map((line) => ({ ...line, amount: 0n as Amount })) }),
      'hash_differs',
    ],
    [
      'a line’s description',
      4,
      (i: IssuedInvoice) => ({ lines: i.lines.map((line) => ({ ...line, description: 'x' })) }),
      'hash_differs',
    ],
    [
      'the description to half a surrogate pair',
      4,
      (i: IssuedInvoice) => ({ lines: i.lines.map((line) => ({ ...line, description: '\ud800' })) }),
      'content_unreadable',
    ],
    ['the customer', 1, () => ({ customerId: 'cus_2' }), 'hash_differs'],
    ['the tenant', 1, () => ({ tenant: 'ten_2' }), 'hash_differs'],
    ['the time of issue', 5, (i: IssuedInvoice) => ({ issuedAt: i.issuedAt + 1 }), 'hash_differs'],
    ['its hash', 5, () => ({ hash: 'f'.repeat(64) }), 'hash_differs'],
    ['its previous hash', 2, () => ({ previousHash: genesisHash }), 'previous_hash_differs'],
    ['its number', 2, () => ({ number: 7 }), 'number_out_of_sequence'],
  ] as const)('[I17] changing %s of invoice %i breaks the chain there', (_, number, change, reason) => {
    const verdict = verifyChain(changed(number, change));
    expect(verdict).toEqual({ ok: false, number: reason === 'number_out_of_sequence' ? 7 : number, reason });
  });

  it('[I17] who changes a row and recomputes its own hash breaks the next row', () => {
    const forged = changed(3, (invoice) => {
      const content = { ...invoice, customerId: 'cus_2' };
      return { customerId: 'cus_2', hash: chainHash(invoice.previousHash, canonicalInvoice(content)) };
    });
    expect(verifyChain(forged)).toEqual({ ok: false, number: 4, reason: 'previous_hash_differs' });
  });

  it('[I18] a missing, doubled or misplaced invoice is found', () => {
    const at = (...indexes: number[]) => indexes.map((index) => chain[index] as IssuedInvoice);
    expect(verifyChain(at(0, 1, 3, 4))).toEqual({ ok: false, number: 4, reason: 'number_out_of_sequence' });
    expect(verifyChain(at(1, 2, 3))).toEqual({ ok: false, number: 2, reason: 'number_out_of_sequence' });
    expect(verifyChain(at(0, 1, 1, 2))).toEqual({ ok: false, number: 2, reason: 'number_out_of_sequence' });
    expect(verifyChain(at(0, 2, 1))).toEqual({ ok: false, number: 3, reason: 'number_out_of_sequence' });
  });

  it('[I17] rows cut off at the end are found by a head that was kept elsewhere', () => {
    const last = chain[4] as IssuedInvoice;
    const head = { number: last.number, hash: last.hash };
    expect(verifyChain(chain, head)).toEqual({ ok: true });
    expect(verifyChain(chain.slice(0, 4))).toEqual({ ok: true });
    expect(verifyChain(chain.slice(0, 4), head)).toEqual({ ok: false, number: 4, reason: 'head_differs' });
    expect(verifyChain([], head)).toEqual({ ok: false, number: 0, reason: 'head_differs' });
  });

  it('an invoice of one tenant does not fit into the chain of another', () => {
    const other = issuedChain(1, 'ten_2')[0] as IssuedInvoice;
    expect(other.hash).not.toBe(first.hash);
    expect(verifyChain([other, ...chain.slice(1)])).toEqual({ ok: false, number: 2, reason: 'previous_hash_differs' });
  });

  it('a reader that streams can verify row by row', () => {
    let last = { number: 0, hash: genesisHash };
    for (const invoice of chain) {
      expect(linkFault(invoice, last)).toBeUndefined();
      last = invoice;
    }
  });

  it('[I17] no field of an invoice and its lines can change unnoticed', () => {
    // Every leaf of the published JSON, hashes aside, is altered in turn.
    const json = JSON.parse(JSON.stringify(issuedInvoiceToJson(chain[2] as IssuedInvoice)));
    const { hash, previous_hash, content_version: _version, ...content } = json;
    const paths: string[][] = [];
    const walk = (value: unknown, path: string[]): void => {
      if (typeof value === 'object' && value !== null)
        for (const [key, child] of Object.entries(value)) walk(child, [...path, key]);
      else paths.push(path);
    };
    walk(content, []);
    expect(paths.length).toBeGreaterThan(60);
    fc.assert(
      fc.property(fc.constantFrom(...paths), (path) => {
        const copy = structuredClone(content);
        const parent = path.slice(0, -1).reduce((value, key) => value[key], copy);
        const key = path.at(-1) as string;
        parent[key] = `${parent[key]}x`;
        expect(chainHash(previous_hash, canonicalContent(newestContentVersion, copy))).not.toBe(hash);
      }),
      { numRuns: scaled(500) },
    );
  });
});
