/** The fonts of documents: which files there are, and which one is asked first. Pure. */
import type { InvoiceDocument } from './invoice-document.ts';

/** Package of `@expo-google-fonts` -> family, as the font names itself. All are under the SIL Open Font License. */
const families = {
  inter: 'Inter',
  'noto-sans': 'Noto Sans',
  'noto-sans-arabic': 'Noto Sans Arabic',
  'noto-sans-armenian': 'Noto Sans Armenian',
  'noto-sans-bengali': 'Noto Sans Bengali',
  'noto-sans-ethiopic': 'Noto Sans Ethiopic',
  'noto-sans-georgian': 'Noto Sans Georgian',
  'noto-sans-gujarati': 'Noto Sans Gujarati',
  'noto-sans-gurmukhi': 'Noto Sans Gurmukhi',
  'noto-sans-hebrew': 'Noto Sans Hebrew',
  'noto-sans-kannada': 'Noto Sans Kannada',
  'noto-sans-khmer': 'Noto Sans Khmer',
  'noto-sans-lao': 'Noto Sans Lao',
  'noto-sans-malayalam': 'Noto Sans Malayalam',
  'noto-sans-myanmar': 'Noto Sans Myanmar',
  'noto-sans-sinhala': 'Noto Sans Sinhala',
  'noto-sans-tamil': 'Noto Sans Tamil',
  'noto-sans-telugu': 'Noto Sans Telugu',
  'noto-sans-thai': 'Noto Sans Thai',
  'noto-sans-jp': 'Noto Sans JP',
  'noto-sans-kr': 'Noto Sans KR',
  'noto-sans-sc': 'Noto Sans SC',
  'noto-emoji': 'Noto Emoji',
} as const;

/** Files of the packages, regular and semibold. */
export const fontFiles: readonly string[] = Object.entries(families).flatMap(([name, family]) =>
  ['400Regular', '600SemiBold'].map(
    (weight) => `@expo-google-fonts/${name}/${weight}/${family.replaceAll(' ', '')}_${weight}.ttf`,
  ),
);

const east = ['Noto Sans SC', 'Noto Sans JP', 'Noto Sans KR'] as const;
type East = (typeof east)[number];
const first: readonly string[] = Object.values(families).filter(
  (family) => !east.includes(family as East) && family !== 'Noto Emoji',
);

/**
 * Chinese, Japanese and Korean share characters and draw them differently; which of them a text is, its other letters
 * tell, or the country of the buyer.
 */
const eastFirst = ({ buyer, seller, lines }: InvoiceDocument): East => {
  const text = [buyer?.name, seller?.name, ...lines.map(({ description }) => description)].join('');
  const countries = [buyer?.address?.country, seller?.address?.country];
  if (/[\p{Script=Hiragana}\p{Script=Katakana}]/u.test(text) || countries.includes('JP')) return 'Noto Sans JP';
  if (/\p{Script=Hangul}/u.test(text) || countries.includes('KR')) return 'Noto Sans KR';
  return 'Noto Sans SC';
};

/** The families in the order in which each character is looked for. */
export const fontOrder = (document: InvoiceDocument): readonly string[] => {
  const chosen = eastFirst(document);
  return [...first, chosen, ...east.filter((family) => family !== chosen), 'Noto Emoji'];
};
