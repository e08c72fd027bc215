import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printedLine, printedText } from '../../../../invoicer/documents/printed-text.ts';
import { scaled } from '../../../support/scale.ts';

const breakable = (text: string): string => text.replaceAll('\u200b', '');

describe('text of a caller', () => {
  it.each([
    ['a\0b\u0007c', 'abc'],
    ['half \ud83d of a pair', 'half \ufffd of a pair'],
    // Turns around what follows: "exe.fdp" as "pdf.exe".
    ['\u202eexe.fdp', 'exe.fdp'],
    ['a\u2066b\u2069c\ufeff', 'abc'],
    ['one\r\ntwo\rthree\u2028four', 'one\ntwo\nthree\nfour'],
  ])('%j is printed as %j', (given, printed) => expect(printedText(given)).toBe(printed));

  it('keeps what joins and parts letters, and emoji', () => {
    for (const text of ['نامه\u200cها', 'क्\u200dष', '👩\u200d👩\u200d👧']) expect(printedText(text)).toContain(text);
  });

  it('has a place to break in a name of 500 letters, and none inside a letter with its marks', () => {
    expect(
      printedLine('x'.repeat(500))
        .split('\u200b')
        .map(({ length }) => length),
    ).toEqual([...Array(41).fill(12), 8]);
    const marked = printedLine('e\u0301'.repeat(100));
    expect(marked).not.toMatch(/\u200b\u0301/);
    expect(marked).toContain('\u200b');
  });

  it('is isolated, line by line, where it is written from the right', () => {
    expect(printedText('שלום\nabc')).toBe('\u2068שלום\u2069\n\u2068abc\u2069');
    expect(printedText('Ünïcode 日本')).toBe('Ünïcode 日本');
  });

  it('loses no letter', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'ß', '日', 'ש', '😀', ' ', '-', 'न')), (letters) => {
        const text = letters.join('').replace(/ +/g, ' ').trim();
        expect(breakable(printedLine(text)).replace(/[\u2068\u2069]/g, '')).toBe(text);
      }),
      { numRuns: scaled(200) },
    );
  });
});
