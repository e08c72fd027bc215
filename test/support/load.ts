/** A client that does what the API says: it sends a batch again, unchanged, until the answer is final. */
import { llmRequest } from './llm-pro.ts';
import type { ApiAnswer, Pipeline } from './pipeline.ts';

export type Load = {
  /** Stops making new batches, waits until each is answered, and says how many events were sent. */
  readonly finish: () => Promise<number>;
  /** Every answer that was not 200, and every connection that failed. */
  readonly refusals: () => readonly (ApiAnswer | Error)[];
  /** Batches that were answered 200 so far. */
  readonly taken: () => number;
};

export type LoadOptions = {
  readonly customer: string;
  readonly atMs: number;
  readonly lanes: number;
  readonly batch: number;
  readonly pauseMs: number;
};

export const startLoad = (pipeline: Pipeline, options: LoadOptions): Load => {
  const refusals: (ApiAnswer | Error)[] = [];
  let running = true;
  let sent = 0;
  let taken = 0;
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const lane = async (number: number) => {
    for (let turn = 0; running; turn += 1) {
      const batch = Array.from({ length: options.batch }, (_, index) =>
        llmRequest(`${options.customer}-${number}-${turn}-${index}`, options.customer, options.atMs + turn, {
          input: 3,
          output: 1,
        }),
      );
      sent += batch.length;
      for (;;) {
        const answer = await pipeline.sendEvents(batch).catch((error: Error) => error);
        if (!(answer instanceof Error) && answer.status === 200) break;
        refusals.push(answer);
        await pause(100);
      }
      taken += 1;
      await pause(options.pauseMs);
    }
  };
  const lanes = Promise.all(Array.from({ length: options.lanes }, (_, number) => lane(number)));
  return {
    finish: async () => {
      running = false;
      await lanes;
      return sent;
    },
    refusals: () => refusals,
    taken: () => taken,
  };
};
