/** The origins of web pages, as a setting lists them. */

/** The origins of a setting as it is written: separated by commas. */
export const readOrigins = (text: string): string[] =>
  text === '' ? [] : text.split(',').map((origin) => origin.trim());

/** Why a browser would never send such an origin; undefined where it could. */
export const originFault = (origin: string): string | undefined => {
  if (origin.includes('*')) return `may not have a *, as "${origin}" has: name each origin`;
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:')
    return `must be origins such as https://shop.example.com, separated by commas; "${origin}" is none`;
  return url.origin === origin ? undefined : `must be origins as browsers send them: ${url.origin}, not "${origin}"`;
};
