/** What the prefix of an id says. One prefix per kind of object; the rest is a UUIDv7 without dashes. */
export const idPrefixes = {
  org: 'organization',
  key: 'API key',
  mtr: 'meter',
  pln: 'plan',
  plv: 'plan version',
  cus: 'customer',
  sub: 'subscription',
  run: 'billing run',
  bpd: 'billing period',
  rln: 'rated line',
  inv: 'invoice',
  mtv: 'meter version',
  amd: 'amendment',
  aud: 'audit entry',
  evt: 'row of the outbox',
  req: 'request',
  gtw: 'process of a gateway',
} as const;

export type IdPrefix = keyof typeof idPrefixes;

const shapes = new Map(Object.keys(idPrefixes).map((prefix) => [prefix, new RegExp(`^${prefix}_[0-9a-f]{32}$`)]));

/** Whether the text is an id of that kind, as opposed to an external id of the caller. */
export const isId = (prefix: IdPrefix, text: string): boolean => shapes.get(prefix)?.test(text) ?? false;
