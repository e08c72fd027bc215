/** PDFs as programs read them that were not written here. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { decodeQR } from 'qr/decode.js';
import { afterEach, describe, expect, it } from 'vitest';
import type { InvoiceDocument } from '../../../invoicer/documents/invoice-document.ts';
import { createPdfMaker } from '../../../invoicer/documents/invoice-pdf.typst.ts';
import { openPdf } from '../../support/pdf-tools.ts';
import { sampleDocument, sampleLine } from '../../support/sample-document.ts';
import { sampleJpegHead, samplePng } from '../../support/sample-logo.ts';

const maker = createPdfMaker();
const opened: { close: () => void }[] = [];
const openedPdf = (bytes: Buffer) => {
  const pdf = openPdf(bytes);
  opened.push(pdf);
  return pdf;
};
const made = (document: InvoiceDocument) => openedPdf(maker.make(document));
afterEach(() => {
  for (const pdf of opened.splice(0)) pdf.close();
});
const named = (...names: readonly string[]) =>
  sampleDocument({ lines: names.map((description) => ({ ...sampleLine(0), description })) });
const madeApart = async (lines: number): Promise<Buffer> => {
  const entry = fileURLToPath(new URL('../../support/make-pdf.main.ts', import.meta.url));
  const options = { encoding: 'buffer', maxBuffer: 67_108_864 } as const;
  return (await promisify(execFile)(process.execPath, [entry, String(lines)], options)).stdout;
};
const letters = (text: string) => text.replace(/[\s\u200b\u202a-\u202e\u2066-\u2069]/g, '');

describe('an invoice as PDF', () => {
  it.each([1, 40, 400])('of %i lines is sound, says every line, and heads and numbers each page', async (count) => {
    const pdf = made(sampleDocument({}, count));
    await pdf.check();
    const pages = (await pdf.text('-layout')).split('\f').slice(0, -1);
    const text = pages.join('\n');
    expect(text.match(/Platform fee|Seat licence, team \d+|API calls, region \d+/g)).toHaveLength(count);
    for (const [index, page] of pages.entries()) {
      expect(page).toContain(`Page ${index + 1} of ${pages.length}`);
      expect(page).toContain('INV-2026-000042 · $851.50 due December 1, 2026');
      if (/Platform fee/.test(page)) expect(page).toMatch(/Description +Qty +Unit price +Amount/);
    }
    for (const said of ['Müller & Söhne GmbH', '12 Weir Lane', 'United Kingdom', 'PO-7781', 'Apollo', '$851.50'])
      expect(text).toContain(said);
    expect(text).toContain(sampleDocument().hash);
  });

  it('has the same bytes for the same invoice, whatever was made in between', () => {
    const first = maker.make(sampleDocument({ logo: { format: 'png', bytes: samplePng(8, 4) } }));
    maker.make(sampleDocument({ language: 'de' }, 40));
    expect(
      createPdfMaker()
        .make(sampleDocument({ logo: { format: 'png', bytes: samplePng(8, 4) } }))
        .equals(first),
    ).toBe(true);
    expect(maker.make(sampleDocument({ memo: 'Another one' })).equals(first)).toBe(false);
  });

  it('embeds of each font what is used, for every script that there is text in', async () => {
    const scripts = {
      Inter: 'Latin, Кириллица, Ελληνικά',
      NotoSansArabic: 'خدمة رقم 5 (شهري)',
      NotoSansHebrew: 'שירות בענן (v2)',
      NotoSans: 'नमस्ते क्षत्रिय',
      NotoSansThai: 'สวัสดีครับ',
      NotoSansSC: '简体中文',
      NotoSansKR: '가격',
      NotoSansTamil: 'பயன்பாடு',
      NotoSansBengali: 'ব্যবহার',
      NotoEmoji: '😀',
    };
    const document = named(...Object.values(scripts));
    const pdf = made(document);
    await pdf.check();
    const fonts = await pdf.fonts();
    for (const font of Object.keys(scripts)) expect(fonts.join('\n')).toMatch(new RegExp(`[A-Z]{6}\\+${font}-`));
    for (const font of fonts) expect(font).toMatch(/CID TrueType +Identity-H +yes yes/);
    const text = letters(await pdf.text('-raw'));
    for (const said of ['Кириллица', 'สวัสดีครับ', '简体中文', '가격', '😀']) expect(text).toContain(said);
  });

  it('draws shared characters as the country of the buyer does', async () => {
    const japanese = made({
      ...named('直骨'),
      buyer: { name: '株式会社テスト', address: null, taxIds: [], email: null },
    });
    expect((await japanese.fonts()).join('\n')).toMatch(/NotoSansJP/);
    expect((await made(named('直骨')).fonts()).join('\n')).not.toMatch(/NotoSansJP/);
  });

  it('holds a name of 500 characters without a space inside its column', async () => {
    const pdf = made(named('x'.repeat(500)));
    await pdf.check();
    const boxes = [...(await pdf.text('-bbox')).matchAll(/xMin="([\d.]+)" .*xMax="([\d.]+)".*>(x[x\u200b]*)</g)];
    expect(boxes.map(([, , , word]) => letters(word as string)).join('')).toBe('x'.repeat(500));
    expect(Math.max(...boxes.map(([, , right]) => Number(right)))).toBeLessThan(420);
  });

  it('keeps every figure whole and on the page, whatever its sign, currency and length', async () => {
    const figure = { ...sampleLine(0), period: null, steps: [] };
    // In the first the amount is the widest text of its column, and has a digit that is narrow where digits differ.
    const narrow = [
      { ...figure, description: 'First', quantity: '1', amount: '-66.41' },
      { ...figure, description: 'Second', quantity: '-12', unitAmount: '-0.5', amount: '-6.00' },
    ];
    const tax = { name: 'VAT', percentage: '19', isInclusive: false, treatment: 'taxed' } as const;
    const sums = { taxableAmount: '-123456789012.34', amount: '-23456789012.34' };
    const wide = [
      {
        ...figure,
        description: 'W'.repeat(300),
        quantity: '-123456789012.123456789012',
        unitAmount: '-123456789012.123456789012',
        amount: '-123456789012.34',
        taxes: Array.from({ length: 5 }, () => ({ ...tax, ...sums })),
      },
    ];
    for (const [lines, currency, said] of [
      [narrow, 'USD', ['-$66.41', '-12', '-$0.50', '-$6.00']],
      [wide, 'CHF', ['-123,456,789,012.123456789012', '-CHF 123,456,789,012.123456789012', '-CHF 123,456,789,012.34']],
    ] as const) {
      const field = { name: 'N'.repeat(60), value: 'V'.repeat(200) };
      const pdf = made(
        sampleDocument({ lines, currency, customFields: [field], taxes: [{ ...tax, ...sums }], total: '-66.41' }),
      );
      await pdf.check();
      const text = (await pdf.text('-layout')).replaceAll('\u00a0', ' ');
      for (const one of said) expect(text).toContain(one);
      const edges = [...(await pdf.text('-bbox')).matchAll(/xMin="([-\d.]+)" .*xMax="([-\d.]+)"/g)];
      expect(edges.length).toBeGreaterThan(50);
      // A4 is 595.28 pt wide, and its margins are 18 mm.
      expect(Math.min(...edges.map(([, left]) => Number(left)))).toBeGreaterThan(51);
      expect(Math.max(...edges.map(([, , right]) => Number(right)))).toBeLessThan(544.5);
    }
  });

  it.each([
    '<b>bold</b> & "x"',
    '#set text(red) $x^2$ *a* _b_ @c <d> `e`',
    '#read("/etc/passwd")',
    '\\u{41} \\ ~ -- ...',
  ])('sets %j as it is, and never as markup', async (name) => {
    const document = { ...named(name), memo: name };
    expect((await made(document).text('-raw')).split(name)).toHaveLength(3);
  });

  it('survives what is no text', async () => {
    const pdf = made(named('\0\u0007\ud83d', '', '\u{1f9ff}\u{e0001}', '\u202eevil', '𓀀'));
    await pdf.check();
  });

  it('has a code that a reader takes for the link', async () => {
    const document = sampleDocument({ paymentUrl: `https://pay.example.com/${'a1b2'.repeat(40)}` });
    expect(decodeQR(await made(document).picture(1))).toBe(document.paymentUrl);
  });

  it('shows a logo, and leaves out one that breaks off behind its head', async () => {
    const withLogo = maker.make(sampleDocument({ logo: { format: 'png', bytes: samplePng(60, 20) } }));
    const without = maker.make(sampleDocument({ logo: null }));
    const images = await openedPdf(withLogo).images();
    expect(images).toEqual([expect.stringMatching(/ image +60 +20 /)]);
    for (const logo of [
      { format: 'png', bytes: samplePng(60, 20).subarray(0, 50) },
      { format: 'jpg', bytes: sampleJpegHead(640, 480) },
    ] as const)
      expect(maker.make(sampleDocument({ logo })).equals(without)).toBe(true);
  });

  it('is tagged for screen readers, with its language and title, and dated by its issue', async () => {
    const info = await made(sampleDocument({ language: 'de' })).info();
    expect(info).toMatch(/Title: +Rechnung INV-2026-000042/);
    expect(info).toMatch(/Tagged: +yes/);
    expect(info).toMatch(/CreationDate: +Sun Nov +1 04:05:06 2026/);
    expect(info).toMatch(/Page size: .*A4/);
  });

  it('of 10,000 lines is made', async () => {
    // By a process of its own, as its memory would stay with this one.
    const pdf = openedPdf(await madeApart(10_000));
    await pdf.check();
    expect((await pdf.text()).match(/Seat licence/g)).toHaveLength(10_000);
  });
});
