/** Lists that are longer than one statement or parameter may hold. Pure. */

/** What a text takes in the list of a parameter, as it is encoded, with its quotes and comma. */
export const encodedBytes = (text: string): number => encodeURIComponent(text).length + 9;

/** Cuts a list into runs of at most `sizeMax` in all; an item that is larger alone stands alone. */
export const inRuns = <T>(items: readonly T[], sizeOf: (item: T) => number, sizeMax: number): T[][] => {
  const runs: T[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const more = sizeOf(item);
    if (size + more > sizeMax) {
      runs.push([]);
      size = 0;
    }
    runs.at(-1)?.push(item);
    size += more;
  }
  return runs;
};
