/**
 * Texts that are numbers, or nearly: of every length around the bounds, with and without exponent. None is longer than
 * what the store looks at.
 */
import fc from 'fast-check';

const digits = (min: number, max: number): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom('0', '0', '1', '4', '5', '9', '9'), { minLength: min, maxLength: max, size: 'max' })
    .map((all) => all.join(''));

const integer = fc.oneof({ weight: 3, arbitrary: digits(1, 3) }, digits(1, 45), digits(38, 41), digits(16, 20));
const fraction = fc.oneof(fc.constant(''), digits(1, 4), digits(10, 15), digits(1, 60), digits(50, 54));
const exponent = fc.oneof(
  fc.constant(''),
  fc.integer({ min: -60, max: 60 }),
  fc.integer({ min: 10, max: 40 }),
  fc.integer({ min: -9_999, max: 9_999 }),
);
const exponentText = fc
  .tuple(fc.constantFrom('e', 'E', 'e+'), exponent)
  .map(([mark, of]) => (of === '' ? '' : mark === 'e+' && Number(of) < 0 ? `e${of}` : `${mark}${of}`));

const number = fc
  .tuple(fc.constantFrom('', '-'), integer, fraction, exponentText)
  .map(([sign, whole, part, power]) => `${sign}${whole}${part === '' ? '' : `.${part}`}${power}`);

const nearly = fc
  .tuple(number, fc.constantFrom('+', '-', '.', 'e', 'E', ' ', 'x', '\n', '١'), fc.nat(100))
  .map(([text, character, at]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + character + text.slice(place);
  });

export const numberTexts: fc.Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: number },
  { weight: 1, arbitrary: nearly },
);
