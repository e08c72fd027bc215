/** Choices that depend on a seed alone, so that a run can be made again. */
import { seededRandom } from '../../../bench/demo/llm-usage.ts';

export type Random = {
  /** A whole number in [0, bound). */
  readonly below: (bound: number) => number;
  readonly chance: (probability: number) => boolean;
  readonly oneOf: <T>(list: readonly T[]) => T;
  readonly bytes: (length: number) => Buffer;
};

export const createRandom = (seed: number): Random => {
  const next = seededRandom(seed);
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    below,
    chance: (probability) => next() < probability,
    oneOf: (list) => {
      if (list.length === 0) throw new Error('nothing to choose from');
      return list[below(list.length)] as (typeof list)[number];
    },
    bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))),
  };
};

export const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));
