/**
 * Reads that differ in one item only, asked for while such a read is under way, are made together by the next one. A
 * store that answers for twenty customers in the time that it takes for five is asked once for all who wait, and an
 * idle one at once for whoever comes first.
 */

export type CoalesceOptions = {
  /** Reads of one shape that are under way at a time. */
  readonly readsMax: number;
  /** Items of one read. */
  readonly itemsMax: number;
};

type Waiting<I, R> = {
  readonly item: I;
  readonly resolve: (result: R) => void;
  readonly reject: (error: unknown) => void;
};
type Lane<I, R> = { underWay: number; readonly waiting: Waiting<I, R>[] };

/**
 * `read` gives a result for each item, in their order. Everyone whose read fails gets its error. The shape is a text
 * that names all that reads have in common; nothing is kept of a shape that nobody waits for.
 */
export const coalesceReads = <S, I, R>(
  { readsMax, itemsMax }: CoalesceOptions,
  read: (shape: S, items: readonly I[]) => Promise<readonly R[]>,
): ((name: string, shape: S, item: I) => Promise<R>) => {
  const lanes = new Map<string, Lane<I, R>>();
  const start = async (name: string, shape: S, lane: Lane<I, R>): Promise<void> => {
    const taken = lane.waiting.splice(0, itemsMax);
    lane.underWay += 1;
    try {
      const results = await read(
        shape,
        taken.map(({ item }) => item),
      );
      if (results.length !== taken.length) throw new RangeError(`${results.length} results for ${taken.length} items`);
      taken.forEach(({ resolve }, index) => {
        resolve(results[index] as R);
      });
    } catch (error) {
      for (const { reject } of taken) reject(error);
    }
    lane.underWay -= 1;
    if (lane.waiting.length > 0) void start(name, shape, lane);
    else if (lane.underWay === 0) lanes.delete(name);
  };
  return (name, shape, item) =>
    new Promise((resolve, reject) => {
      const lane = lanes.get(name) ?? { underWay: 0, waiting: [] };
      lanes.set(name, lane);
      lane.waiting.push({ item, resolve, reject });
      if (lane.underWay < readsMax) void start(name, shape, lane);
    });
};
