/**
 * Figures that leave a description no room: quantity and unit price of each row are said below its description, as a
 * page has no more width, and a figure that is broken can't be read. Pure.
 */
import type { DetailContent, DocumentContent, LineContent } from './document-content.ts';

/**
 * Characters of all columns of figures together, of which about 80 fit on a line of A4: the rest is for the
 * description, of which a run of 24 characters is not broken.
 */
const figureCharsMax = 48;
/** Taxes of a line are broken between two of them. */
const taxCharsMax = 16;

type Figure = 'quantity' | 'unitPrice' | 'tax' | 'amount';

/** Without marks that have no width of their own. */
const charsOf = (text: string): number => [...text.replaceAll('\u200b', '')].length;

const columnChars = ({ columns, lines }: DocumentContent, name: Figure): number => {
  const head = columns[name];
  if (head === null) return 0;
  let most = charsOf(head);
  for (const line of lines) {
    most = Math.max(most, charsOf(line[name]));
    if (name !== 'tax') for (const detail of line.details) most = Math.max(most, charsOf(detail[name]));
  }
  return most;
};

const isTooWide = (content: DocumentContent): boolean =>
  columnChars(content, 'quantity') +
    columnChars(content, 'unitPrice') +
    Math.min(columnChars(content, 'tax'), taxCharsMax) +
    columnChars(content, 'amount') >
  figureCharsMax;

type Heads = { readonly quantity: string; readonly unitPrice: string };

const said = (heads: Heads, { quantity, unitPrice }: DetailContent): readonly DetailContent[] => {
  const texts = [
    ...(quantity === '' ? [] : [`${heads.quantity}: ${quantity}`]),
    ...(unitPrice === '' ? [] : [`${heads.unitPrice}: ${unitPrice}`]),
  ];
  return texts.length === 0 ? [] : [{ text: texts.join(' · '), quantity: '', unitPrice: '', amount: '' }];
};

const narrowLine = (line: LineContent, heads: Heads): LineContent => ({
  ...line,
  quantity: '',
  unitPrice: '',
  details: [
    ...said(heads, line),
    ...line.details.flatMap((detail) => [{ ...detail, quantity: '', unitPrice: '' }, ...said(heads, detail)]),
  ],
});

export const fitColumns = (content: DocumentContent): DocumentContent => {
  const { quantity, unitPrice } = content.columns;
  if (quantity === null || unitPrice === null || !isTooWide(content)) return content;
  return {
    ...content,
    columns: { ...content.columns, quantity: null, unitPrice: null },
    lines: content.lines.map((line) => narrowLine(line, { quantity, unitPrice })),
  };
};
