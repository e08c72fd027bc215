import { describe, expect, it } from 'vitest';
import { addressLines } from '../../../../invoicer/documents/address-lines.ts';
import { documentContent } from '../../../../invoicer/documents/document-content.ts';
import { fitColumns } from '../../../../invoicer/documents/fit-columns.ts';
import { documentLanguages } from '../../../../invoicer/documents/invoice-document.ts';
import { invoiceHtml } from '../../../../invoicer/documents/invoice-html.ts';
import { sampleDocument, sampleLine } from '../../../support/sample-document.ts';

const evil = `<script>alert(1)</script>"'&`;
const tax = { name: 'VAT', percentage: '19', isInclusive: false, treatment: 'taxed', taxableAmount: '240.00' } as const;

describe('the page of an invoice', () => {
  it('escapes every text that a caller gives', () => {
    const party = { name: evil, address: null, taxIds: [{ type: 'xx_vat', value: evil }], email: evil };
    const html = invoiceHtml(
      sampleDocument({
        documentNumber: evil,
        purchaseOrder: evil,
        customFields: [{ name: evil, value: evil }],
        seller: party,
        buyer: { ...party, address: { line1: evil, city: evil, country: 'DE' } },
        memo: evil,
        lines: [
          {
            ...sampleLine(2),
            description: evil,
            discounts: [{ name: evil, amount: '1.00' }],
            taxes: [{ ...tax, name: evil, amount: '45.60' }],
          },
        ],
        discounts: [{ name: evil, amount: '1.00' }],
        taxes: [{ ...tax, name: evil, amount: '45.60' }],
      }),
    );
    expect(html).not.toMatch(/<script|"'&(?!amp;|quot;|#39;)/);
    expect(html.match(/&lt;script&gt;/g)?.length).toBeGreaterThan(10);
  });

  it('links to the web alone', () => {
    for (const paymentUrl of ['javascript:alert(1)', 'data:text/html,x', 'no link', 'file:///etc/passwd']) {
      const html = invoiceHtml(sampleDocument({ paymentUrl, verifyUrl: paymentUrl }));
      expect(html).not.toMatch(/<a |<path/);
    }
    expect(invoiceHtml(sampleDocument())).toContain('href="https://pay.example.com/i/abc123?x=1&amp;y=2"');
  });

  it('fetches nothing and runs nothing', () => {
    expect(invoiceHtml(sampleDocument())).not.toMatch(/<(script|link|iframe|object|form)|@import|url\(|src="(?!data:)/);
  });

  it('has the same bytes for the same invoice', () => {
    expect(invoiceHtml(sampleDocument())).toBe(invoiceHtml(structuredClone(sampleDocument())));
  });

  it('is that of a credit note where it corrects an invoice: no quantities, and what becomes of what was paid', () => {
    const credit = {
      invoiceNumber: evil,
      reason: 'order_change',
      notDue: '20.00',
      paid: { amount: '30.00', settlement: 'balance' },
    } as const;
    const texts = documentLanguages.map((language) => {
      const document = sampleDocument({ language, credit });
      const { title, headline, facts, columns, totals, seal } = documentContent(document);
      expect([columns.quantity, columns.unitPrice]).toEqual([null, null]);
      const html = invoiceHtml(document);
      expect(html).not.toContain('<script>');
      expect(html.match(/<th /g)).toHaveLength(columns.tax === null ? 2 : 3);
      for (const label of [title, ...facts.map((fact) => fact.label)]) expect(html).toContain(label);
      expect(totals.slice(-2).map(({ value }) => value.replace(/[^0-9]/g, ''))).toEqual(['2000', '3000']);
      return [title, headline, seal.label, ...facts.map((fact) => fact.label), ...totals.map(({ label }) => label)];
    });
    expect(new Set(texts.map(([title]) => title)).size).toBe(documentLanguages.length);
    const paid = documentContent(sampleDocument({ credit: { ...credit, paid: null } })).totals;
    expect(paid.at(-1)).toMatchObject({ label: 'Total credited', isStrong: true });
  });

  it('shows an erased customer without details', () => {
    expect(invoiceHtml(sampleDocument({ buyer: null }))).toContain('Erased customer');
  });
});

describe('what a document says', () => {
  it('has words of its own in every language', () => {
    const said = documentLanguages.map((language) => documentContent(sampleDocument({ language })));
    expect(new Set(said.map(({ title }) => title)).size).toBe(4);
    expect(new Set(said.map(({ headline }) => headline)).size).toBe(4);
    expect(said.map(({ pageOf }) => pageOf.join('*'))).toEqual([
      'Page * of *',
      'Seite * von *',
      'Page * sur *',
      'Página * de *',
    ]);
  });

  it('is due on receipt by terms of no days as without terms, in every language', () => {
    const said = { en: 'due on receipt', de: 'fällig nach Erhalt', fr: 'à payer à réception', es: 'a la recepción' };
    for (const language of documentLanguages) {
      const issued = sampleDocument({ language });
      const atOnce = invoiceHtml({ ...issued, dueAt: issued.issuedAt });
      expect(atOnce).toBe(invoiceHtml({ ...issued, dueAt: null }));
      expect(atOnce).toContain(said[language]);
      expect(invoiceHtml({ ...issued, dueAt: issued.issuedAt + 86_400_000 })).not.toContain(said[language]);
    }
  });

  it('says one unit price in the line, and tiers below it', () => {
    const [flat, units, tiers] = documentContent(sampleDocument()).lines;
    expect([flat?.quantity, flat?.unitPrice, flat?.details]).toEqual(['1', '$499.00', []]);
    expect([units?.quantity, units?.unitPrice, units?.details]).toEqual(['12', '$20.00', []]);
    expect(tiers?.unitPrice).toBe('');
    expect(tiers?.details.map(({ text, quantity, unitPrice, amount }) => [text, quantity, unitPrice, amount])).toEqual([
      ['Included', '1,000', '$0.00', '$0.00'],
      ['From 1,000 to 100,000', '99,000', '$0.001', '$99.00'],
      ['Above 100,000', '25,000', '$0.00054', '$13.50'],
    ]);
  });

  it('takes discounts away, adds taxes, and says who owes a reversed one', () => {
    const content = documentContent(
      sampleDocument({
        discounts: [{ name: 'WELCOME', amount: '10.00' }],
        taxes: [
          { ...tax, amount: '45.60' },
          { ...tax, isInclusive: true, amount: '38.32' },
          { ...tax, treatment: 'reverse_charge', percentage: '0', amount: '0.00' },
        ],
      }),
    );
    expect(content.totals.map(({ label, value }) => `${label} ${value}`)).toEqual([
      'Subtotal $851.50',
      'Discount: WELCOME -$10.00',
      'VAT (19%) on $240.00 $45.60',
      'VAT (19%) on $240.00, included $38.32',
      'VAT (Reverse charge) on $240.00 $0.00',
      'Total $851.50',
      'Amount due $851.50',
    ]);
    expect(content.notes).toEqual(['Reverse charge: the tax is to be paid by the recipient.']);
  });

  it('says below a description what would leave it no room, in full, and only then', () => {
    const october = sampleDocument({ currency: 'CHF', paymentUrl: null });
    const priced = { ...sampleLine(1), quantity: '1234567.123456789012', unitAmount: '0.000000000001' };
    const wide = fitColumns(documentContent({ ...october, lines: [priced, sampleLine(2)] }));
    expect([wide.columns.quantity, wide.columns.unitPrice, wide.columns.amount]).toEqual([null, null, 'Amount']);
    const shown = wide.lines.map((line) => [
      line.amount.replace('\u00a0', ' '),
      ...line.details.map(({ text, amount }) => `${text}${amount && ` = ${amount}`}`.replaceAll('\u00a0', ' ')),
    ]);
    expect(shown).toEqual([
      ['CHF 240.00', 'Qty: 1,234,567.123456789012 · Unit price: CHF 0.000000000001'],
      [
        'CHF 112.50',
        'Qty: 125,000',
        'Included = CHF 0.00',
        'Qty: 1,000 · Unit price: CHF 0.00',
        'From 1,000 to 100,000 = CHF 99.00',
        'Qty: 99,000 · Unit price: CHF 0.001',
        'Above 100,000 = CHF 13.50',
        'Qty: 25,000 · Unit price: CHF 0.00054',
      ],
    ]);
    expect(invoiceHtml({ ...october, lines: [priced] }).match(/<th /g)).toHaveLength(2);
    expect(fitColumns(documentContent(october)).columns).toMatchObject({ quantity: 'Qty', unitPrice: 'Unit price' });
  });

  it('keeps the digits of a range together where the range is of a cell', () => {
    const step = { kind: 'units', priced: '1', unitAmount: '1', flatAmount: '0', amount: '1' } as const;
    const cell = { region: 'eu\u202fwest' };
    const line = { ...sampleLine(2), steps: [{ ...step, from: '12345', to: null, cell }] };
    const [shown] = documentContent(sampleDocument({ language: 'fr', lines: [line] })).lines;
    expect(shown?.details[0]?.text).toBe('eu west: Au-delà de 12\u202f345');
  });

  it.each([
    ['en', '$66.41 credit in your favor', 'Credit in your favor $66.41'],
    ['de', '66,41\u00a0$ Guthaben', 'Guthaben 66,41\u00a0$'],
    ['fr', '66,41\u00a0$US d’avoir en votre faveur', 'Avoir en votre faveur 66,41\u00a0$US'],
    ['es', '66,41\u00a0US$ a su favor', 'Saldo a su favor 66,41\u00a0US$'],
  ] as const)('says below zero in %s that nobody has to pay it', (language, headline, last) => {
    const content = documentContent(sampleDocument({ language, currency: 'USD', total: '-66.41' }));
    expect(content.headline).toBe(headline);
    expect(content.totals.map(({ label, value }) => `${label} ${value}`).at(-1)).toBe(last);
    const due = documentContent(sampleDocument({ language })).facts.map(({ label }) => label);
    expect(content.facts.map(({ label }) => label)).toEqual(due.filter((_, index) => index !== 2));
    expect(content.payment).toBeNull();
  });

  it.each([
    ['US', ['1 Main St', 'Springfield, IL 62701', 'X']],
    ['GB', ['1 Main St', 'Springfield', 'IL', '62701', 'X']],
    ['DE', ['1 Main St', '62701 Springfield', 'IL', 'X']],
    ['JP', ['62701', 'IL Springfield', '1 Main St', 'X']],
  ])('writes an address as %s does', (country, lines) => {
    const address = { line1: '1 Main St', city: 'Springfield', state: 'IL', postalCode: '62701', country };
    expect(addressLines(address, 'X')).toEqual(lines);
  });
});
