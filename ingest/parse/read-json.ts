/**
 * The JSON of events: bytes -> a value with its inexact numbers wrapped, and the names that one of its objects has
 * twice. Which of two twins a caller meant nobody knows, so their event is at fault, and the body where it is told by
 * them what the events are. Pure.
 */
import { placeOf, scanJson, twinMessage } from '#platform/json/json-scan.ts';
import { parseJsonText } from '#platform/json/json-text.ts';
import { faultsPerEventMax, fieldOf } from '#schemas/event-properties.ts';
import { wrapInexactNumbers } from '#schemas/exact-numbers.ts';
import type { Fault } from '#schemas/failures.ts';

/**
 * Twice what an event and what is around it can need. Below it an event that is too deep is told apart from the others
 * of its body; what is deeper is refused before anything is made of it: two million arrays in each other took
 * `JSON.parse` and the garbage collector more than a second.
 */
export const nestingMax = 128;

/** Names of objects and places in arrays, from the outermost value. */
type Path = readonly (string | number)[];
export type Twin = { readonly path: Path; readonly at: number };

export type ReadJson = { readonly value: unknown; readonly text: string; readonly twins: readonly Twin[] };

/** What is nested deeper than anything that is read. */
export class TooDeep extends Error {}

export const noTwins: readonly Twin[] = [];

/** The twins of a text; of each event that it may hold, no more than are listed. Throws TooDeep. */
const twinsIn = (text: string, depthMax: number): readonly Twin[] => {
  let twins: Twin[] | undefined;
  let lastOwner = -1;
  let ofOwner = 0;
  const refusal = scanJson(text, depthMax, {
    onName: (_name, isTwin, { levels, depth }, at) => {
      if (!isTwin) return undefined;
      // The item of the outermost array: of the body, or of its "events".
      const [first, second] = levels;
      const owner = (first?.isObject ? (depth > 1 && !second?.isObject ? second : undefined) : first)?.index ?? -1;
      if (owner !== lastOwner) ofOwner = 0;
      lastOwner = owner;
      ofOwner += 1;
      if (ofOwner > faultsPerEventMax) return undefined;
      twins ??= [];
      twins.push({ path: levels.slice(0, depth).map(({ isObject, name, index }) => (isObject ? name : index)), at });
      return undefined;
    },
  });
  if (refusal) throw new TooDeep(`${refusal.what}, at ${placeOf(text, refusal.at)}`);
  return twins ?? noTwins;
};

/** Throws on what is no JSON, and TooDeep. */
export const readJson = (body: Buffer, depthMax = nestingMax): ReadJson => {
  const text = body.toString('utf8');
  const twins = twinsIn(text, depthMax);
  const wrapped = wrapInexactNumbers(body, text);
  try {
    return { value: parseJsonText(wrapped), text, twins };
  } catch (error) {
    // The message quotes the text and counts its characters: both must be the caller's.
    if (wrapped !== text) JSON.parse(text);
    throw error;
  }
};

/** Why a body is refused whose outermost object has a name twice; undefined where it has none. */
export const envelopeTwin = ({ text, twins }: ReadJson): string | undefined => {
  const twin = twins.find(({ path }) => path.length === 1);
  return twin && `${twinMessage(String(twin.path[0]))}, at ${placeOf(text, twin.at)}`;
};

/** Twins by the item that they are in, their paths from there on: `before` is how long the path of an item is. */
export const twinsOfItems = (twins: readonly Twin[], before: number): ReadonlyMap<number, readonly Twin[]> => {
  const items = new Map<number, Twin[]>();
  for (const { path, at } of twins) {
    const item = path[before - 1] as number;
    const rest = { path: path.slice(before), at };
    const known = items.get(item);
    if (known) known.push(rest);
    else items.set(item, [rest]);
  }
  return items;
};

const nameCharactersMax = 300;

const fieldOfPath = (path: Path): string =>
  fieldOf(
    path
      .map((part, at) =>
        typeof part === 'number' ? `[${part}]` : `${at > 0 ? '.' : ''}${part.slice(0, nameCharactersMax)}`,
      )
      .join(''),
  );

/** A fault for each field that is given twice, however often it is there. */
export const twinFaults = (twins: readonly Twin[]): Fault[] =>
  [...new Set(twins.map(({ path }) => fieldOfPath(path)))]
    .slice(0, faultsPerEventMax)
    .map((field) => ({ field, code: 'duplicate', message: 'is given twice in one object' }));

/** Whether a field of the event itself is given twice: then nobody knows what it is. */
export const isTwin = (twins: readonly Twin[], field: string): boolean =>
  twins.some(({ path }) => path.length === 1 && path[0] === field);
