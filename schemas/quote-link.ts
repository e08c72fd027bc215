/**
 * The token in the link by which a customer sees and accepts a quote: `mr_quote_` and 43 base64url characters of 256
 * random bits. What is stored of it is the keyed hash that API keys have (`api-key.ts`); the prefix is by what it is
 * found wherever it must not stand (platform/process/redaction.ts).
 */
export const quoteLinkPrefix = 'mr_quote_';
const shape = /^mr_quote_[A-Za-z0-9_-]{43}$/;

/** `randomBytes` is the caller's source of randomness. */
export const newQuoteLinkToken = (randomBytes: (bytes: number) => Buffer): string =>
  quoteLinkPrefix + randomBytes(32).toString('base64url');

export const mayBeQuoteLinkToken = (text: string): boolean => shape.test(text);
