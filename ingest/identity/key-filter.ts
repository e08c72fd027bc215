/**
 * A negative filter over a fixed set of 64-bit hashes: "certainly not in the set", or "may be". A binary fuse filter
 * with four probes (Graf and Lemire, Binary Fuse Filters: Fast and Smaller Than Xor Filters, 2022,
 * https://arxiv.org/abs/2201.01174), its fingerprints packed bit by bit.
 *
 * A hash that is in the set is never denied. One that is not is let pass with a chance of 2^-fingerprintBits. Rejected:
 * a Bloom filter; 2.5 bytes a key for the same chance. Rejected: three probes; 5 % more bytes, and no faster where the
 * filter is not in the cache.
 *
 * As bytes: seed, slots, windowLength and keys (4 bytes each, little-endian), then the fingerprints.
 */

import assert from 'node:assert/strict';

export type KeyFilter = {
  readonly keys: number;
  readonly bytes: Uint8Array;
  readonly mayHave: (low: number, high: number) => boolean;
};

/**
 * 35 filters of so many bits let one new key in 470 pass to a look-up, for 1.9 bytes a key (`npm run bench -- --only
 * identity`).
 */
export const fingerprintBits = 14;
const fingerprintMask = 2 ** fingerprintBits - 1;

const headerBytes = 16;
/** A fingerprint is read from the three bytes that it may touch. */
const paddingBytes = 3;

const mixed = (hash: number): number => {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
};

/** Where the four slots of a hash lie: windows of `windowLength`, each beside the last, the first of them anywhere. */
type Shape = { readonly slots: number; readonly windowLength: number };

/**
 * The sizes of the paper for four probes. They are tuned for large sets; a small one gets more room, and costs little
 * in any case.
 */
const shapeFor = (keys: number): Shape => {
  const windowLength = Math.min(
    2 ** 18,
    keys < 2 ? 4 : 2 ** Math.max(2, Math.floor(Math.log(keys) / Math.log(2.91) - 0.5)),
  );
  const roominess = keys < 2 ? 0 : Math.max(1.075, 0.77 + (0.305 * Math.log(600_000)) / Math.log(keys));
  const windows = Math.max(1, Math.ceil((keys * roominess) / windowLength) - 3);
  return { slots: (windows + 3) * windowLength, windowLength };
};

/** The slots of the hash that was asked for last, and its fingerprint: fields, so that asking makes no object. */
const createProbe = ({ slots, windowLength }: Shape, seed: number) => {
  const mask = windowLength - 1;
  const starts = slots - 3 * windowLength;
  const probe = {
    first: 0,
    second: 0,
    third: 0,
    fourth: 0,
    fingerprint: 0,
    at: (low: number, high: number): void => {
      const one = mixed(low ^ seed);
      const two = mixed(high ^ one);
      const three = mixed(two + 0x9e3779b9 + low);
      const first = Math.floor(((one >>> 0) / 4_294_967_296) * starts);
      probe.first = first;
      probe.second = (first + windowLength) ^ (two & mask);
      probe.third = (first + 2 * windowLength) ^ (three & mask);
      // Bits that neither of the others used, as far as there are any.
      probe.fourth = (first + 3 * windowLength) ^ ((((two >>> 16) << 9) ^ (three >>> 18)) & mask);
      probe.fingerprint = (two ^ Math.imul(three, 0x27d4eb2f)) >>> (32 - fingerprintBits);
    },
  };
  return probe;
};

const readSlot = (bytes: Uint8Array, slot: number): number => {
  const bit = slot * fingerprintBits;
  const at = headerBytes + Math.floor(bit / 8);
  const three = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
  return (three >>> (bit & 7)) & fingerprintMask;
};

/** Into a slot that is zero. */
const writeSlot = (bytes: Uint8Array, slot: number, fingerprint: number): void => {
  const bit = slot * fingerprintBits;
  const at = headerBytes + Math.floor(bit / 8);
  const three = fingerprint << (bit & 7);
  bytes[at] = (bytes[at] as number) | (three & 0xff);
  bytes[at + 1] = (bytes[at + 1] as number) | ((three >>> 8) & 0xff);
  bytes[at + 2] = (bytes[at + 2] as number) | ((three >>> 16) & 0xff);
};

/** The hashes in an order in which each has a slot that no later one touches; undefined where the seed gives none. */
const peel = (lows: Uint32Array, highs: Uint32Array, shape: Shape, seed: number) => {
  const probe = createProbe(shape, seed);
  const [counts, xorLow, xorHigh] = [
    new Uint8Array(shape.slots),
    new Uint32Array(shape.slots),
    new Uint32Array(shape.slots),
  ];
  const toggle = (slot: number, low: number, high: number, by: 1 | -1): number => {
    xorLow[slot] = (xorLow[slot] as number) ^ low;
    xorHigh[slot] = (xorHigh[slot] as number) ^ high;
    const count = (counts[slot] as number) + by;
    counts[slot] = count;
    return count;
  };
  for (let key = 0; key < lows.length; key += 1) {
    const [low, high] = [lows[key] as number, highs[key] as number];
    probe.at(low, high);
    for (const slot of [probe.first, probe.second, probe.third, probe.fourth]) toggle(slot, low, high, 1);
  }
  const alone = new Uint32Array(4 * lows.length + shape.slots);
  let waiting = 0;
  for (let slot = 0; slot < shape.slots; slot += 1) if (counts[slot] === 1) alone[waiting++] = slot;
  const order = {
    lows: new Uint32Array(lows.length),
    highs: new Uint32Array(lows.length),
    slots: new Uint32Array(lows.length),
    count: 0,
  };
  while (waiting > 0) {
    const slot = alone[--waiting] as number;
    if (counts[slot] !== 1) continue;
    const [low, high] = [xorLow[slot] as number, xorHigh[slot] as number];
    order.lows[order.count] = low;
    order.highs[order.count] = high;
    order.slots[order.count++] = slot;
    probe.at(low, high);
    for (const other of [probe.first, probe.second, probe.third, probe.fourth]) {
      if (toggle(other, low, high, -1) === 1) alone[waiting++] = other;
    }
  }
  return order.count === lows.length ? order : undefined;
};

const seedsMax = 100;

/** `lows` and `highs` are the halves of hashes that differ from each other. Takes about 0.4 microseconds a hash. */
export const buildKeyFilter = (lows: Uint32Array, highs: Uint32Array): KeyFilter => {
  const shape = shapeFor(lows.length);
  for (let attempt = 1; attempt <= seedsMax; attempt += 1) {
    const seed = mixed(attempt) >>> 0;
    const order = peel(lows, highs, shape, seed);
    if (!order) continue;
    const bytes = new Uint8Array(headerBytes + Math.ceil((shape.slots * fingerprintBits) / 8) + paddingBytes);
    const header = new DataView(bytes.buffer);
    for (const [index, value] of [seed, shape.slots, shape.windowLength, lows.length].entries())
      header.setUint32(4 * index, value, true);
    const probe = createProbe(shape, seed);
    for (let place = order.count - 1; place >= 0; place -= 1) {
      probe.at(order.lows[place] as number, order.highs[place] as number);
      let fingerprint = probe.fingerprint;
      for (const slot of [probe.first, probe.second, probe.third, probe.fourth]) fingerprint ^= readSlot(bytes, slot);
      // Its own slot was zero until now, so nothing of it went into the sum.
      writeSlot(bytes, order.slots[place] as number, fingerprint);
    }
    const filter = openKeyFilter(bytes);
    // A key that is denied would be billed twice, so it is asked and not believed: a tenth of the time.
    for (let key = 0; key < lows.length; key += 1) assert.ok(filter.mayHave(lows[key] as number, highs[key] as number));
    return filter;
  }
  throw new Error(`${lows.length} hashes do not fit into a filter: some of them are the same`);
};

/** Throws on bytes that are no filter. */
export const openKeyFilter = (bytes: Uint8Array): KeyFilter => {
  if (bytes.byteLength < headerBytes) throw new RangeError('not a filter of keys');
  const header = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  const [seed, slots, windowLength, keys] = [0, 4, 8, 12].map((at) => header.getUint32(at, true)) as [
    number,
    number,
    number,
    number,
  ];
  if (bytes.byteLength !== headerBytes + Math.ceil((slots * fingerprintBits) / 8) + paddingBytes)
    throw new RangeError('not a filter of keys');
  const probe = createProbe({ slots, windowLength }, seed);
  return {
    keys,
    bytes,
    mayHave: (low, high) => {
      probe.at(low, high);
      const { first, second, third, fourth } = probe;
      const found = readSlot(bytes, first) ^ readSlot(bytes, second) ^ readSlot(bytes, third) ^ readSlot(bytes, fourth);
      return keys > 0 && found === probe.fingerprint;
    },
  };
};
