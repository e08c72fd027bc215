/** The name of a property: a dotted path into an event's own data. */

/**
 * A dotted path without empty parts. Quotes, backslashes and backticks are refused: ClickHouse does not read them back
 * from a parameter that is an identifier, so such a meter would find no value in any event.
 */
export const propertyPattern = '^[^\\u0000-\\u001f\\u007f.\'"`\\\\]+(\\.[^\\u0000-\\u001f\\u007f.\'"`\\\\]+)*$';
export const propertyCharactersMax = 255;
const pattern = new RegExp(propertyPattern);

export const isPropertyPath = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= propertyCharactersMax && value.isWellFormed() && pattern.test(value);

export const propertyAbout = `a dotted path of at most ${propertyCharactersMax} characters such as "usage.tokens", without quotes, backslashes, backticks and control characters`;

export const propertyFaultCode = (value: unknown): 'missing' | 'wrong_type' | 'wrong_length' | 'wrong_format' => {
  if (value === undefined) return 'missing';
  if (typeof value !== 'string') return 'wrong_type';
  return value.length === 0 || value.length > propertyCharactersMax ? 'wrong_length' : 'wrong_format';
};
