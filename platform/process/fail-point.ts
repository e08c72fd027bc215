/**
 * Fail points: named places at which a process ends itself by SIGKILL, as a power cut at that very line would. For
 * crash tests (`npm run test:crash`); where the setting is empty no code of theirs runs.
 */

/**
 * Every place there is, with the process it is in. A name that is not here is a fault of the configuration: a test must
 * not pass because it aims at nothing.
 */
export const failPointNames = [
  'gateway.after_claim',
  'gateway.before_publish',
  'gateway.during_publish',
  'gateway.after_pub_ack',
  'gateway.before_respond',
  'gateway.before_confirm',
  'gateway.after_confirm',
  'sink.after_pull',
  'sink.before_insert',
  'sink.during_insert',
  'sink.after_insert',
  'sink.after_ack',
  'checker.before_voids',
  'checker.after_voids',
  'checker.after_advance',
  'relay.before_publish',
  'relay.after_publish',
  'relay.after_note',
  'relay.after_applied',
  'closing.after_look',
  'closing.after_jobs',
  'closing.before_run',
  'closing.before_commit',
  'closing.after_run',
  'clock.before_step',
  'clock.before_commit',
  'clock.after_step',
  'migration.after_lease',
  'migration.before_commit',
  'migration.after_move',
  'migration.before_end',
  'migration.after_end',
  'rater.after_watermark',
  'rater.before_cut',
  'rater.after_cut',
  'rater.before_lines',
  'rater.after_lines',
  'invoicer.before_issue',
  'invoicer.before_commit',
  'invoicer.after_issue',
  'credit.before_write',
  'credit.before_commit',
] as const;

export type FailPointName = (typeof failPointNames)[number];

export type FailPoint = {
  /** Says that the process is at a place; ends it there where that was asked for. Does not return in that case. */
  readonly pass: (name: FailPointName) => void;
  /**
   * True once for each pass at which the process is to end: for a place inside of somebody else's work, which then
   * calls `end` a little later.
   */
  readonly isDue: (name: FailPointName) => boolean;
  readonly end: () => void;
};

type Aim = { readonly name: FailPointName; readonly passes: number };

const aimOf = (text: string): Aim | undefined => {
  const [, name, passes] = /^([a-z_.]+):([1-9]\d{0,8})$/.exec(text) ?? [];
  const known = failPointNames.find((one) => one === name);
  return known && { name: known, passes: Number(passes) };
};

/** What is wrong with a text that is not empty; undefined where nothing is. */
export const failPointFault = (text: string): string | undefined =>
  text === '' || aimOf(text)
    ? undefined
    : `MILLRACE_FAIL_POINT must be <name>:<passes> with a name of ${failPointNames.join(', ')}, not "${text}"`;

const killSelf = (): void => void process.kill(process.pid, 'SIGKILL');

/**
 * `<name>:<passes>`: the process ends at that pass of the place, counted from its start. Undefined for an empty text.
 */
export const createFailPoint = (text: string, end: () => void = killSelf): FailPoint | undefined => {
  const aim = aimOf(text);
  if (!aim) return undefined;
  let passed = 0;
  const isDue = (name: FailPointName): boolean => {
    if (name !== aim.name) return false;
    passed += 1;
    return passed === aim.passes;
  };
  return {
    pass: (name) => {
      if (isDue(name)) end();
    },
    isDue,
    end,
  };
};

type Call = (...words: never[]) => Promise<unknown>;

type Places = { readonly before?: FailPointName; readonly during?: FailPointName; readonly after?: FailPointName };

/** By then the client has handed to the kernel what was written in this turn of the event loop. */
export const written = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** `begun` is how long after the call its effect is under way, and its answer not there yet. */
export const around = <F extends Call>(
  call: F,
  failPoint: FailPoint,
  { before, during, after }: Places,
  begun = written,
): F => {
  const wrapped = async (...words: Parameters<F>): Promise<unknown> => {
    if (before) failPoint.pass(before);
    const answer = call(...words);
    if (during && failPoint.isDue(during)) void begun().then(failPoint.end);
    const answered = await answer;
    if (after) failPoint.pass(after);
    return answered;
  };
  return wrapped as F;
};
