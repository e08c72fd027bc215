/**
 * The use case of finding which names of usage are those of one customer. Most customers are named in one way in a
 * period, by their id or by their external id, and these need nothing: the names are found of those alone whose events
 * bear several, up to the watermark. So the answer is the same for all pages of a moment, whatever arrives meanwhile,
 * and whoever becomes a customer: no event bore an id before it was given out.
 *
 * Names are read in bounded steps, of the kind of which there are few where that is so: of an organization with a
 * million customers that names all of them by their ids and three by their external ids, three are looked up.
 */

import type { MergedNames } from '../../rater/aggregate/usage-wanted.ts';
import type { AskedUsage } from '../../rater/totals/total-days.ts';
import type { CustomerNames } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';

export type NamesAsked = Pick<AskedUsage, 'tenant' | 'watermark' | 'meter' | 'period'>;

/** Texts in the form of a customer's id, and all others. */
export type NameKind = 'ids' | 'others';

/** Names that events of the meter bear on the days of the period; before them too, where a level is carried over. */
export type UsageNames = {
  /** Ascending, behind `after`; some of them may be of later than the watermark. */
  readonly names: (asked: NamesAsked, kind: NameKind, after: string, limit: number) => Promise<readonly string[]>;
  /** Those of the names that an event up to the watermark bears. */
  readonly borne: (asked: NamesAsked, names: readonly string[]) => Promise<ReadonlySet<string>>;
};

export type MergePorts = {
  readonly usageNames: UsageNames;
  readonly customers: {
    /** Who has one of the names. */
    readonly customersNamed: (db: Db, names: readonly string[]) => Promise<readonly CustomerNames[]>;
  };
};

/** How many are looked up at once: of the longest there are 1.5 MB, as they are encoded. */
const namesPerRead = 2_000;
/** More customers that are named in several ways are not put together: a caller asks for a shorter period. */
export const mergedMax = 5_000;

type Merged = readonly (readonly [name: string, group: string])[];

/** The group goes by the external id that its customer had first, of those that its events bear. */
const mergedOf = (customers: readonly CustomerNames[], borne: ReadonlySet<string>): Merged =>
  customers.flatMap(({ names }) => {
    const [group, ...others] = names.filter((name) => borne.has(name));
    return group === undefined ? [] : others.map((name) => [name, group] as const);
  });

const isNamedOtherwise =
  (borne: ReadonlySet<string>, looked: ReadonlySet<string>) =>
  ({ names }: CustomerNames): boolean =>
    names.some((name) => !looked.has(name) && borne.has(name));

/** Of names that are borne, with the others of their customers. */
const mergeSome = async (
  { usageNames, customers }: MergePorts,
  db: Db,
  asked: NamesAsked,
  names: readonly string[],
): Promise<Merged> => {
  const looked = new Set(names);
  const found = await customers.customersNamed(db, names);
  const others = found.flatMap((one) => one.names.filter((name) => !looked.has(name)));
  const borneOthers = await usageNames.borne(asked, others);
  const several = found.filter(isNamedOtherwise(borneOthers, looked));
  const own = several.flatMap((one) => one.names.filter((name) => looked.has(name)));
  return mergedOf(several, new Set([...borneOthers, ...(await usageNames.borne(asked, own))]));
};

const columnsOf = (merged: Merged): MergedNames | undefined =>
  merged.length === 0 ? undefined : { names: merged.map(([name]) => name), groups: merged.map(([, group]) => group) };

/** Of one customer that is asked for. */
export const mergeOwnNames = async (
  { usageNames }: Pick<MergePorts, 'usageNames'>,
  asked: NamesAsked,
  customer: CustomerNames,
): Promise<MergedNames | undefined> => columnsOf(mergedOf([customer], await usageNames.borne(asked, customer.names)));

/** Of all customers; 'too many' where more than `mergedMax` names are beside the first of their customers. */
export const mergeAllNames = async (
  ports: MergePorts,
  db: Db,
  asked: NamesAsked,
): Promise<MergedNames | undefined | 'too many'> => {
  const read = (kind: NameKind, after: string) => ports.usageNames.names(asked, kind, after, namesPerRead);
  const ids = await read('ids', '');
  const others = ids.length < namesPerRead ? undefined : await read('others', '');
  const [kind, first]: [NameKind, readonly string[]] =
    others !== undefined && others.length < namesPerRead ? ['others', others] : ['ids', ids];
  const merged = new Map<string, string>();
  for (let names = first; names.length > 0; ) {
    for (const [name, group] of await mergeSome(ports, db, asked, names)) merged.set(name, group);
    if (merged.size > mergedMax) return 'too many';
    const last = names.at(-1) as string;
    names = names.length < namesPerRead ? [] : await read(kind, last);
  }
  return columnsOf([...merged]);
};
