/**
 * A client that does what the API says: what was not answered, or answered with 503, it sends again, unchanged, until
 * the answer is final. It keeps the books.
 */
import { type SentEvent, type Step, toBody, type Workload } from './workload.ts';

export type Book = {
  /** The first event of each key. */
  readonly sent: ReadonlyMap<string, SentEvent>;
  /** Keys whose own event was answered `accepted` or `duplicate`. */
  readonly taken: ReadonlySet<string>;
  /** Keys whose own event was answered otherwise, with that status. */
  readonly refused: ReadonlyMap<string, string>;
  /** Events with another payload that were answered `conflict`, and those that were taken although the key was used. */
  readonly conflicts: number;
  readonly variantsTaken: readonly string[];
  /** Keys whose own event was answered `accepted` more than once, each time for good. */
  readonly acceptedAgain: ReadonlySet<string>;
  /** Requests that were sent again, and those among them that had no answer at all. */
  readonly resent: number;
  readonly unanswered: number;
};

export type CrashClient = {
  /** Sends a batch until its answer is final. Throws after `finalMsMax`. */
  readonly send: (batch: readonly SentEvent[]) => Promise<void>;
  readonly run: (lanes: Workload) => Promise<void>;
  /** Steps that have their final answers, of those that `run` was given. */
  readonly progress: () => number;
  readonly book: () => Book;
};

const requestMsMax = 15_000;
/** Long enough for leases and for the longest fault; a batch that takes longer is never taken. */
const finalMsMax = 120_000;
const retryMs = 200;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Answer = { readonly status: number; readonly statuses: ReadonlyMap<number, string> };

const post = async (url: string, key: string, batch: readonly SentEvent[]): Promise<Answer> => {
  const response = await fetch(`${url.replace(/\/$/, '')}/v1/events?results=all`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(batch.map(toBody)),
    signal: AbortSignal.timeout(requestMsMax),
  });
  const { results = [] } = (await response.json()) as { results?: { index: number; status: string }[] };
  return { status: response.status, statuses: new Map(results.map(({ index, status }) => [index, status])) };
};

const isFinal = ({ status }: Answer): boolean => status === 200 || status === 409 || status === 422;
/** What the API says is to be sent again; anything else is a fault of client or server, and ends the round. */
const mayRepeat = ({ status }: Answer): boolean => status === 429 || status === 503 || status === 500;

export const createCrashClient = (url: string, key: string): CrashClient => {
  const sent = new Map<string, SentEvent>();
  const taken = new Set<string>();
  const accepted = new Set<string>();
  const acceptedAgain = new Set<string>();
  const refused = new Map<string, string>();
  const variantsTaken: string[] = [];
  let [conflicts, resent, unanswered, progress] = [0, 0, 0, 0];

  const note = (event: SentEvent, status: string): void => {
    const isTaken = status === 'accepted' || status === 'duplicate';
    if (event.kind === 'variant') {
      if (isTaken) variantsTaken.push(event.key);
      else conflicts += 1;
    } else if (isTaken) {
      taken.add(event.key);
      if (status === 'accepted' && accepted.has(event.key)) acceptedAgain.add(event.key);
      if (status === 'accepted') accepted.add(event.key);
    } else refused.set(event.key, status);
  };

  const send = async (batch: readonly SentEvent[]): Promise<void> => {
    for (const event of batch) if (event.kind === 'first') sent.set(event.key, event);
    const begin = performance.now();
    for (;;) {
      const answer = await post(url, key, batch).catch((error: Error) => error);
      if (!(answer instanceof Error) && isFinal(answer)) {
        batch.forEach((event, index) => {
          note(event, answer.statuses.get(index) ?? 'without a result');
        });
        return;
      }
      if (answer instanceof Error) unanswered += 1;
      else if (!mayRepeat(answer)) throw new Error(`a batch was answered ${answer.status}`);
      if (performance.now() - begin > finalMsMax)
        throw new Error(`a batch had no final answer within ${finalMsMax} ms`);
      resent += 1;
      await pause(retryMs);
    }
  };

  return {
    send,
    run: async (lanes) => {
      const lane = async (steps: readonly Step[]) => {
        for (const { batches, pauseMs } of steps) {
          await Promise.all(batches.map(send));
          progress += 1;
          await pause(pauseMs);
        }
      };
      await Promise.all(lanes.map(lane));
    },
    progress: () => progress,
    book: () => ({ sent, taken, refused, conflicts, variantsTaken, acceptedAgain, resent, unanswered }),
  };
};
