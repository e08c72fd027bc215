/** How much memory and log a local PostgreSQL has, by what is asked for and by the machine. Pure. */

export type PostgresSizes = {
  /** Of its shared buffers. */
  readonly memoryMb: number;
  /** How much of its write-ahead log there is between two checkpoints, at most. */
  readonly walMb: number;
};

/** Of a test, and of a command that works for a moment. */
export const smallPostgres: PostgresSizes = { memoryMb: 128, walMb: 1_024 };

const between = (min: number, value: number, max: number): number => Math.min(Math.max(Math.floor(value), min), max);

/**
 * 0 of `asked` is what fits the machine: an eighth of its memory, as the other servers and the processes are on it too,
 * and four times as much log. After a checkpoint the first change of each page is logged as a whole page, and what does
 * not fit into memory is written between the checkpoints as well: with 256 MB and 1 GB a month's end of 100,000
 * subscriptions took PostgreSQL 152 s of CPU, with 2 GB and 8 GB 107 s.
 */
export const fitPostgres = (asked: PostgresSizes, machineBytes: number): PostgresSizes => {
  const memoryMb = asked.memoryMb || between(smallPostgres.memoryMb, machineBytes / 1_048_576 / 8, 4_096);
  return { memoryMb, walMb: asked.walMb || between(smallPostgres.walMb, memoryMb * 4, 8_192) };
};
