import { type ResourcePrefix, resourcePrefixes } from '#schemas/resources.ts';

/** Of what is no resource by itself. */
const otherPrefixes = {
  org: 'organization',
  plv: 'plan version',
  run: 'billing or rating run',
  chg: 'change of a subscription',
  bpd: 'billing period',
  rln: 'rated line',
  rfl: 'failure of rating',
  mtv: 'meter version',
  cbv: 'version of a cost book',
  crr: 'rate of a credit unit',
  amd: 'amendment',
  aud: 'audit entry',
  evt: 'row of the outbox',
  req: 'request',
  gtw: 'process of a gateway',
} as const;

export type IdPrefix = ResourcePrefix | keyof typeof otherPrefixes;

/** What the prefix of an id says. One prefix per kind of object; the rest is a UUIDv7 without dashes. */
export const idPrefixes: Readonly<Record<IdPrefix, string>> = { ...resourcePrefixes, ...otherPrefixes };

const shapes = new Map(Object.keys(idPrefixes).map((prefix) => [prefix, new RegExp(`^${prefix}_[0-9a-f]{32}$`)]));

/** Whether the text is an id of that kind, as opposed to an external id of the caller. */
export const isId = (prefix: IdPrefix, text: string): boolean => shapes.get(prefix)?.test(text) ?? false;
