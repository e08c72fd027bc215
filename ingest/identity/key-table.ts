/**
 * An exact set of 64-bit hashes in one flat array: 10.7 to 21.4 bytes a key, and nothing for the collector to visit.
 * Open addressing by the first bits of `low`, so that hashes with the same first bits lie together; what was added is
 * never taken out.
 */

/** Halves of hashes, side by side. */
type Hashes = { readonly lows: Uint32Array; readonly highs: Uint32Array };

export type KeyTable = {
  readonly size: () => number;
  readonly bytes: () => number;
  readonly has: (low: number, high: number) => boolean;
  /** False where the set has it already. */
  readonly add: (low: number, high: number) => boolean;
  /** Every hash whose `low` begins, behind what all share, with the `bits` bits of `segment`. */
  readonly collect: (segment: number, bits: number) => Hashes;
};

/** The first `bits` bits of a half; of none it is 0. */
export const firstBits = (half: number, bits: number): number => (bits === 0 ? 0 : half >>> (32 - bits));

/** Beyond this share of full places a search takes more than a few steps. */
const fullest = 0.75;

/** `sharedBits`: first bits of `low` that all hashes have in common; by those none would find a place of its own. */
export const createKeyTable = (firstPlaceBits = 12, sharedBits = 0): KeyTable => {
  const ownBits = (low: number, bits: number): number => firstBits(low << sharedBits, bits);
  let placeBits = firstPlaceBits;
  // Both halves of a hash in one line of the processor's cache. An empty place is two zeros; the one hash that looks
  // like it stands apart.
  let halves = new Uint32Array(2 * 2 ** placeBits);
  let filled = 0;
  let hasZero = false;

  /** Where the hash stands, or where it belongs: an index into `halves`. */
  const indexOf = (low: number, high: number): number => {
    const mask = halves.length - 1;
    for (let index = 2 * ownBits(low, placeBits); ; index = (index + 2) & mask) {
      const [foundLow, foundHigh] = [halves[index], halves[index + 1]];
      if ((foundLow === low && foundHigh === high) || (foundLow === 0 && foundHigh === 0)) return index;
    }
  };
  const isFull = (index: number): boolean => halves[index] !== 0 || halves[index + 1] !== 0;
  const put = (low: number, high: number): boolean => {
    const index = indexOf(low, high);
    if (isFull(index)) return false;
    halves[index] = low;
    halves[index + 1] = high;
    return true;
  };
  const grow = (): void => {
    const before = halves;
    placeBits += 1;
    halves = new Uint32Array(2 * before.length);
    for (let index = 0; index < before.length; index += 2) {
      const [low = 0, high = 0] = [before[index], before[index + 1]];
      if (low !== 0 || high !== 0) put(low, high);
    }
  };

  return {
    size: () => filled + Number(hasZero),
    bytes: () => halves.byteLength,
    has: (low, high) => (low === 0 && high === 0 ? hasZero : isFull(indexOf(low, high))),
    add: (low, high) => {
      if (low === 0 && high === 0) {
        const isNew = !hasZero;
        hasZero = true;
        return isNew;
      }
      if (!put(low, high)) return false;
      filled += 1;
      if (filled > 2 ** placeBits * fullest) grow();
      return true;
    },
    collect: (segment, bits) => {
      const found: Hashes = { lows: new Uint32Array(filled + 1), highs: new Uint32Array(filled + 1) };
      let count = 0;
      const take = (low: number, high: number): void => {
        if (ownBits(low, bits) !== segment) return;
        found.lows[count] = low;
        found.highs[count] = high;
        count += 1;
      };
      if (hasZero) take(0, 0);
      const places = 2 ** placeBits;
      const width = Math.max(1, places / 2 ** bits);
      const from = Math.floor((segment * places) / 2 ** bits);
      // Its places, and on to the next empty one: what found its place taken stands behind.
      for (let place = from; place < from + places; place += 1) {
        const index = 2 * (place & (places - 1));
        if (isFull(index)) take(halves[index] as number, halves[index + 1] as number);
        else if (place >= from + width) break;
      }
      return { lows: found.lows.slice(0, count), highs: found.highs.slice(0, count) };
    },
  };
};
