/** Text of callers as it can be printed: of any script, any length, with anything in it. Pure. */

/** A run without a place to break that is longer than this gets some: a column is never narrower. */
const unbrokenCharsMax = 24;
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const zeroWidthSpace = '\u200b';

/** Hebrew, Arabic and the scripts beside them, which are written from the right. */
const rightToLeft = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/**
 * Control characters, and those that turn the direction of what follows, could hide or reorder what a reader sees;
 * halves of surrogate pairs are no text.
 */
const unprintable = /[^\P{Cc}\n]|[\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufff9-\ufffc\ufeff]/gu;

const longRuns = new RegExp(`[^\\s-]{${unbrokenCharsMax + 1},}`, 'gu');

/** Never inside a letter with its marks or an emoji of several parts. */
const breakRun = (run: string): string => {
  // Chinese, Japanese and Thai have no spaces and are broken anyhow.
  if (/^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]+$/u.test(run)) return run;
  const parts = [...graphemes.segment(run)].map(({ segment }) => segment);
  const pieces: string[] = [];
  for (let at = 0; at < parts.length; at += unbrokenCharsMax / 2)
    pieces.push(parts.slice(at, at + unbrokenCharsMax / 2).join(''));
  return pieces.join(zeroWidthSpace);
};

/** One or several lines of text, isolated where it has letters from the right, so that it moves nothing beside it. */
export const printedText = (text: string): string => {
  const clean = text
    .toWellFormed()
    .replace(/\r\n?|[\u2028\u2029]/gu, '\n')
    .replaceAll('\t', ' ')
    .replace(unprintable, '');
  const breakable = clean.replace(longRuns, breakRun);
  return rightToLeft.test(breakable)
    ? breakable
        .split('\n')
        .map((line) => `\u2068${line}\u2069`)
        .join('\n')
    : breakable;
};

/** On one line. */
export const printedLine = (text: string): string => printedText(text.replace(/\s+/gu, ' ').trim());
