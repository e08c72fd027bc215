/** An invoice as one HTML page: no script, nothing fetched, each text of a caller escaped. Pure. */
import { type DetailContent, type DocumentContent, documentContent, type PartyContent } from './document-content.ts';
import { fitColumns } from './fit-columns.ts';
import type { DocumentLogo, InvoiceDocument } from './invoice-document.ts';
import { paymentCode } from './payment-code.ts';

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] as string);

const style = `
:root { color: #1a1f36; font: 14px/1.5 Inter, "Noto Sans", system-ui, sans-serif; font-variant-numeric: tabular-nums lining-nums }
body { margin: 0 auto; max-width: 52rem; padding: 3rem 1.5rem }
header { display: flex; justify-content: space-between; gap: 1rem }
header img { max-height: 3.5rem; max-width: 12rem }
h1 { font-size: 1.75rem; margin: 0 0 .5rem } h2 { font-size: 1.4rem; margin: 2rem 0 .25rem } h3 { font-size: 1em; margin: 0 }
dl { display: grid; grid-template-columns: fit-content(45%) 1fr; gap: .1rem 1.5rem; margin: 0 } dt { font-weight: 600 } dd { margin: 0 }
.parties { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; margin-top: 1.5rem } .parties p { margin: 0 }
p, dt, dd, td, h2, h3 { overflow-wrap: anywhere }
table { border-collapse: collapse; margin-top: 1.5rem; width: 100% } th { color: #697386; font-size: .8em; font-weight: 400; text-align: start }
thead th { border-bottom: 1px solid #1a1f36 } th, td { padding: .45rem 0 .1rem 1rem; text-align: end; vertical-align: top; white-space: nowrap }
th:first-child, td:first-child { padding-inline-start: 0; text-align: start; white-space: normal }
.detail td { color: #697386; font-size: .9em; padding-top: 0 } .detail td:first-child { padding-inline-start: 1rem }
.tax { overflow-wrap: normal; white-space: normal }
.faint, small { color: #697386; font-size: .85em }
.totals { margin-inline-start: 40%; width: 60% } .totals td { border-top: 1px solid #d5dbe1; padding-bottom: .45rem } .strong { font-weight: 600 }
.memo { white-space: pre-line } a { color: #3d5afe; font-weight: 600 }
footer { align-items: center; display: flex; gap: 1rem; margin-top: 2rem; overflow-wrap: anywhere } footer svg { flex: none; width: 7rem }
@page { margin: 18mm } @media print { body { max-width: none; padding: 0 } thead { display: table-header-group } tr { break-inside: avoid } }
`.trim();

const party = ({ label, name, lines }: PartyContent): string =>
  `<section><h3>${escaped(label)}</h3>${[name, ...lines].map((line) => `<p dir="auto">${escaped(line)}</p>`).join('')}</section>`;

const figures = ['quantity', 'unitPrice', 'tax', 'amount'] as const;
type Figure = (typeof figures)[number];

const row = (
  detail: DetailContent & { readonly tax?: string },
  description: string,
  shown: readonly Figure[],
  kind: 'line' | 'detail',
): string => {
  const cells = shown.map((name) => `<td${name === 'tax' ? ' class="tax"' : ''}>${escaped(detail[name] ?? '')}</td>`);
  return `<tr class="${kind}"><td>${description}</td>${cells.join('')}</tr>`;
};

const table = ({ columns, lines }: DocumentContent): string => {
  const shown = figures.filter((name) => columns[name] !== null);
  const heads = [columns.description, ...shown.map((name) => columns[name] ?? '')];
  const rows = lines.map((line) => {
    const period = line.period && `<br><small>${escaped(line.period)}</small>`;
    const description = `<bdi>${escaped(line.text)}</bdi>${period}`;
    const details = line.details.map((detail) => row(detail, `<bdi>${escaped(detail.text)}</bdi>`, shown, 'detail'));
    return [row(line, description, shown, 'line'), ...details].join('\n');
  });
  return (
    `<table><thead><tr>${heads.map((head) => `<th scope="col">${escaped(head)}</th>`).join('')}</tr></thead>\n` +
    `<tbody>\n${rows.join('\n')}\n</tbody></table>`
  );
};

const totals = (content: DocumentContent): string =>
  `<table class="totals"><tbody>${content.totals
    .map(
      ({ label, value, isStrong }) =>
        `<tr${isStrong ? ' class="strong"' : ''}><td><bdi>${escaped(label)}</bdi></td><td>${escaped(value)}</td></tr>`,
    )
    .join('')}</tbody></table>`;

const link = (url: string, text: string): string =>
  `<a href="${escaped(url)}" rel="noopener noreferrer">${escaped(text)}</a>`;

const picture = ({ format, bytes }: DocumentLogo): string =>
  `<img alt="" src="data:image/${format === 'jpg' ? 'jpeg' : 'png'};base64,${Buffer.from(bytes).toString('base64')}">`;

const footer = ({ payment, seal }: DocumentContent): string => {
  const hash = seal.url === null ? escaped(seal.hash) : link(seal.url, seal.hash);
  return (
    `<footer>${payment ? paymentCode(payment.url) : ''}<div>${payment ? `<h3>${escaped(payment.scan)}</h3>` : ''}` +
    `<small>${escaped(seal.label)}<br>${hash}</small></div></footer>`
  );
};

export const invoiceHtml = (document: InvoiceDocument): string => {
  const content = fitColumns(documentContent(document));
  const { payment, memo } = content;
  return `${[
    `<!doctype html>\n<html lang="${content.language}">\n<head>\n<meta charset="utf-8">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escaped(`${content.title} ${content.number}`)}</title>\n<style>${style}</style>\n</head>\n<body>`,
    `<header><h1>${escaped(content.title)}</h1>${document.logo ? picture(document.logo) : ''}</header>`,
    `<dl>${content.facts.map(({ label, value }) => `<dt dir="auto">${escaped(label)}</dt><dd dir="auto">${escaped(value)}</dd>`).join('')}</dl>`,
    `<div class="parties">${content.seller ? party(content.seller) : ''}${party(content.buyer)}</div>`,
    `<h2>${escaped(content.headline)}</h2>`,
    ...(payment ? [link(payment.url, payment.label)] : []),
    table(content),
    totals(content),
    ...content.notes.map((note) => `<p>${escaped(note)}</p>`),
    ...(memo ? [`<h3>${escaped(memo.label)}</h3><p class="memo" dir="auto">${escaped(memo.text)}</p>`] : []),
    footer(content),
    '</body>\n</html>',
  ].join('\n')}\n`;
};
