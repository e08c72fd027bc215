/**
 * Writes down what this process answered, and what it found lost of the stream. The order: counted in memory, answered,
 * written within about a second. Whatever PostgreSQL does, no request waits for it: what can't be written stays in
 * memory and is tried again. A process that is killed takes its last second of counts with it, and never an event; that
 * it said no more is how it can be told.
 */
import type { Clock } from '#platform/process/clock.ts';
import { startJobLoop } from '#platform/work/job-loop.ts';
import type { Conservation, IngestCount } from './conservation.ts';

/**
 * Sequences that claims knew and the stream has lost, and when the stream was asked for the end that shows it: what it
 * held behind that end was received before, and what is accepted again at the same sequences after it.
 */
export type DetectedLoss = { readonly from: number; readonly to: number; readonly detectedAtMs: number };

export type ReportPorts = {
  readonly conservation: Pick<Conservation, 'changed' | 'written'>;
  /** Writes all of it or nothing; written twice it counts once. Throws where PostgreSQL does not take it. */
  readonly write: (counts: readonly IngestCount[], losses: readonly DetectedLoss[], hasEnded: boolean) => Promise<void>;
  readonly clock: Clock;
  readonly onFault: (error: unknown) => void;
};

export type Report = {
  readonly addLoss: (loss: DetectedLoss) => void;
  /** Writes the rest, and that this process ended in good order; where that fails it is left unsaid. */
  readonly stop: () => Promise<void>;
};

const everyMs = 1_000;
/**
 * A process without news says every so many turns that it lives. The API takes one that was silent for 15 s for dead.
 */
const turnsOfSilenceMax = 5;
const countsMax = 5_000;
const lossesMax = 1_000;

export const startReport = ({ conservation, write, clock, onFault }: ReportPorts): Report => {
  const losses: DetectedLoss[] = [];
  let silentTurns = turnsOfSilenceMax;
  /** Resolves with whether there may be more. */
  const writeSome = async (hasEnded: boolean): Promise<boolean> => {
    const counts = conservation.changed(countsMax);
    const lost = losses.slice(0, lossesMax);
    silentTurns += 1;
    if (counts.length + lost.length === 0 && silentTurns <= turnsOfSilenceMax && !hasEnded) return false;
    await write(counts, lost, hasEnded);
    silentTurns = 0;
    losses.splice(0, lost.length);
    conservation.written(counts, clock.nowMs());
    return counts.length === countsMax;
  };
  const loop = startJobLoop({ work: () => writeSome(false), lanes: 1, pollMs: everyMs, onFault });
  return {
    addLoss: (loss) => {
      if (losses.length < lossesMax) losses.push(loss);
    },
    stop: async () => {
      await loop.stop();
      try {
        while (await writeSome(true));
      } catch (error) {
        onFault(error);
      }
    },
  };
};
