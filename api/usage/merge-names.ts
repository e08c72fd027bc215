/**
 * The use case of finding which names of usage are those of one customer. Most customers are named in one way in a
 * period, by their id or by their external id, and these need nothing: the names are found of those alone whose events
 * bear several, up to the watermark. So the answer is the same for all pages of a moment, whatever arrives meanwhile,
 * and whoever becomes a customer: no event bore an id before it was given out.
 *
 * Names are read in bounded steps, of the kind of which there are few where that is so: of an organization with a
 * million customers that names all of them by their ids and three by their external ids, three are looked up.
 */

import { encodedBytes } from '../../rater/aggregate/in-runs.ts';
import type { MergedNames } from '../../rater/aggregate/usage-wanted.ts';
import type { AskedUsage } from '../../rater/totals/total-days.ts';
import type { CustomerNames } from '../customers/customer-names.postgres.ts';
import type { Db } from '../route/define-route.ts';

export type NamesAsked = Pick<AskedUsage, 'tenant' | 'watermark' | 'meter' | 'period'> & {
  /** How many renames there had been of the organization's customers: later names are none. */
  readonly renames: number;
};

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
    /** Who has one of the names, with those that it had after so many renames. */
    readonly customersNamed: (db: Db, names: readonly string[], renames: number) => Promise<readonly CustomerNames[]>;
    /** Who was renamed: by id, ascending, behind `after`. */
    readonly renamedCustomers: (
      db: Db,
      after: string,
      renames: number,
      limit: number,
    ) => Promise<readonly CustomerNames[]>;
  };
};

/** How many are looked up at once. */
const namesPerRead = 2_000;
/**
 * More customers that are named in several ways are not put together: a caller asks for a shorter period. What a
 * statement is told is bounded in bytes too, which is less where names are long.
 */
export const mergedMax = 5_000;
const mergedBytesMax = 500_000;

type Merged = readonly (readonly [name: string, group: string])[];

/** The group goes by the external id that its customer had first, of those that its events bear. */
const mergedOf = (customers: readonly CustomerNames[], borne: ReadonlySet<string>): Merged =>
  customers.flatMap(({ id, names }) => {
    const inOrder = [...names.filter((name) => name !== id), id];
    const [group, ...others] = inOrder.filter((name) => borne.has(name));
    return group === undefined ? [] : others.map((name) => [name, group] as const);
  });

/** Of customers that were found by names which events may bear, with their other names. */
const mergeSome = async (
  { usageNames }: Pick<MergePorts, 'usageNames'>,
  asked: NamesAsked,
  found: readonly CustomerNames[],
  looked: ReadonlySet<string>,
): Promise<Merged> => {
  const others = found.flatMap((one) => one.names.filter((name) => !looked.has(name)));
  const borneOthers = await usageNames.borne(asked, others);
  const mayBear = (name: string): boolean => looked.has(name) || borneOthers.has(name);
  const several = found.filter(({ names }) => names.filter(mayBear).length > 1);
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

/** The names that events bear, step by step, of the kind of which there are few. */
async function* namesToLookUp(
  { names }: MergePorts['usageNames'],
  asked: NamesAsked,
): AsyncGenerator<readonly string[]> {
  const read = (kind: NameKind, after: string) => names(asked, kind, after, namesPerRead);
  const ids = await read('ids', '');
  const others = ids.length < namesPerRead ? undefined : await read('others', '');
  const isOfOthers = others !== undefined && others.length < namesPerRead;
  const kind: NameKind = isOfOthers ? 'others' : 'ids';
  for (let some = isOfOthers ? others : ids; some.length > 0; ) {
    yield some;
    some = some.length < namesPerRead ? [] : await read(kind, some.at(-1) as string);
  }
}

/**
 * Groups of customers, as they are found. Who was renamed may bear several external ids and not its id, and is then not
 * found by ids.
 */
async function* mergedGroups(ports: MergePorts, db: Db, asked: NamesAsked): AsyncGenerator<Merged> {
  const { usageNames, customers } = ports;
  for await (const names of namesToLookUp(usageNames, asked))
    yield mergeSome(ports, asked, await customers.customersNamed(db, names, asked.renames), new Set(names));
  for (let after = ''; asked.renames > 0; ) {
    const renamed = await customers.renamedCustomers(db, after, asked.renames, namesPerRead);
    yield mergeSome(ports, asked, renamed, new Set());
    const last = renamed.at(-1);
    if (last === undefined || renamed.length < namesPerRead) return;
    after = last.id;
  }
}

/** Of all customers; 'too many' where more than `mergedMax` names are beside the first of their customers. */
export const mergeAllNames = async (
  ports: MergePorts,
  db: Db,
  asked: NamesAsked,
): Promise<MergedNames | undefined | 'too many'> => {
  const merged = new Map<string, string>();
  let bytes = 0;
  for await (const some of mergedGroups(ports, db, asked)) {
    for (const [name, group] of some) {
      if (!merged.has(name)) bytes += encodedBytes(name) + encodedBytes(group);
      merged.set(name, group);
    }
    if (merged.size > mergedMax || bytes > mergedBytesMax) return 'too many';
  }
  return columnsOf([...merged]);
};
