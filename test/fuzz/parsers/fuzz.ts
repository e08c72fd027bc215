/**
 * The fuzzer: makes cases, has production and reference judge each, and makes the first one on which they differ small.
 */
import { stopwatch } from '#platform/process/clock.ts';
import type { Format } from './formats.ts';
import { mutated } from './mutate.ts';
import { blockDifferenceOf, type Decoded, differenceOf, type HorizonName, horizons } from './outcome.ts';
import { createRandom, type Random } from './random.ts';

export type FuzzCase = { readonly horizon: HorizonName; readonly body: Buffer };
export type ProblemKind = 'crash' | 'difference' | 'paths' | 'slow';
export type Problem = { readonly kind: ProblemKind; readonly what: string };
type Finding = {
  readonly format: string;
  readonly number: number;
  readonly problem: Problem;
  readonly case: FuzzCase;
};

/** What the cases of a run were: one that only ever saw malformed bodies would prove nothing. */
export type FuzzStats = { cases: number; malformed: number; tooMany: number; accepted: number; refused: number };
export type FuzzRun = { readonly stats: ReadonlyMap<string, FuzzStats>; readonly finding: Finding | undefined };

const caseMsMax = 200;

type Judged = { readonly decoded: Decoded | undefined; readonly problem: Problem | undefined };

const crashOf = (who: string, error: unknown): Judged => ({
  decoded: undefined,
  problem: { kind: 'crash', what: `${who}: ${error instanceof Error ? error.stack : String(error)}` },
});

const judgeCase = (format: Format, { horizon: name, body }: FuzzCase): Judged => {
  const horizon = horizons[name];
  // A parser may keep or change what it is given: each gets bytes of its own.
  const own = (): Buffer => Buffer.from(body);
  const elapsed = stopwatch();
  let decoded: Decoded;
  try {
    decoded = format.production(own(), horizon);
  } catch (error) {
    return crashOf('production', error);
  }
  const ms = elapsed();
  if (ms > caseMsMax)
    return { decoded, problem: { kind: 'slow', what: `production took ${ms.toFixed(0)} ms for ${body.length} bytes` } };
  let difference: string | undefined;
  try {
    if (format.reference) difference = differenceOf(decoded.outcome, format.reference(own(), horizon));
  } catch (error) {
    return crashOf('reference', error);
  }
  if (difference !== undefined) return { decoded, problem: { kind: 'difference', what: difference } };
  if (format.longWay && decoded.block) {
    try {
      const paths = blockDifferenceOf(decoded.block, format.longWay(own(), horizon).block);
      if (paths !== undefined) return { decoded, problem: { kind: 'paths', what: paths } };
    } catch (error) {
      return crashOf('the long way', error);
    }
  }
  return { decoded, problem: undefined };
};

/**
 * The problem of a case, if it has one. A slow case is one that is slow each time: another process may have had the
 * machine.
 */
export const problemOf = (format: Format, one: FuzzCase): Judged => {
  let judged = judgeCase(format, one);
  for (let again = 0; again < 2 && judged.problem?.kind === 'slow'; again += 1) judged = judgeCase(format, one);
  return judged;
};

const shrinkTriesMax = 60_000;
const shrinkMsMax = 60_000;
/**
 * Up to here every part of a body is tried, wherever it begins and ends: what stands between two braces goes at once.
 */
const thoroughBytesMax = 250;

const zero = Buffer.from('0');

type Smaller = { readonly body: Buffer; readonly partBytes: number };

/** Bodies that lack a part of this one, or have 0 in its place; the largest parts come first. */
function* smaller(body: Buffer, partBytesMax: number): Generator<Smaller> {
  const isThorough = body.length <= thoroughBytesMax;
  const largest = isThorough ? body.length : Math.ceil(body.length / 2);
  for (let size = Math.min(largest, partBytesMax); size >= 1; size = isThorough ? size - 1 : Math.floor(size / 2)) {
    for (let at = 0; at + size <= body.length; at += isThorough ? 1 : size) {
      const [before, behind] = [body.subarray(0, at), body.subarray(at + size)];
      yield { body: Buffer.concat([before, behind]), partBytes: size };
      if (isThorough && size > 2) yield { body: Buffer.concat([before, zero, behind]), partBytes: size };
    }
  }
}

/**
 * A shorter body with a problem of the same kind. What was found without a part is looked through by parts as large,
 * and by larger ones again once no smaller one can go.
 */
const shrunk = (format: Format, one: FuzzCase, kind: ProblemKind): FuzzCase => {
  const elapsed = stopwatch();
  let best = one;
  let tries = 0;
  let partBytesMax = Number.POSITIVE_INFINITY;
  for (;;) {
    let found: Smaller | undefined;
    for (const next of smaller(best.body, partBytesMax)) {
      tries += 1;
      if (tries > shrinkTriesMax || elapsed() > shrinkMsMax) return best;
      if (problemOf(format, { ...best, body: next.body }).problem?.kind !== kind) continue;
      found = next;
      break;
    }
    if (!found && partBytesMax === Number.POSITIVE_INFINITY) return best;
    if (found) best = { ...best, body: found.body };
    partBytesMax = found ? found.partBytes : Number.POSITIVE_INFINITY;
  }
};

const makeCase = (format: Format, random: Random): FuzzCase => {
  const body = format.body(random);
  return {
    horizon: random.chance(0.75) ? 'wide' : 'narrow',
    body: random.chance(0.6) ? body : mutated(random, body, () => format.body(random)),
  };
};

const count = (stats: FuzzStats, decoded: Decoded | undefined): void => {
  stats.cases += 1;
  if (!decoded) return;
  const { outcome } = decoded;
  if (outcome.kind === 'malformed') stats.malformed += 1;
  else if (outcome.kind === 'too_many') stats.tooMany += 1;
  else {
    stats.accepted += outcome.accepted.length;
    stats.refused += outcome.refused.length;
  }
};

/** Tries `cases` cases, spread over the formats; ends with the first finding, made small. */
export const fuzzParsers = (
  formats: readonly Format[],
  cases: number,
  seed: number,
  onCase?: (number: number) => void,
): FuzzRun => {
  const random = createRandom(seed);
  const stats = new Map(
    formats.map(({ name }) => [name, { cases: 0, malformed: 0, tooMany: 0, accepted: 0, refused: 0 }]),
  );
  for (let number = 0; number < cases; number += 1) {
    const format = formats[number % formats.length] as Format;
    const one = makeCase(format, random);
    const { decoded, problem } = problemOf(format, one);
    count(stats.get(format.name) as FuzzStats, decoded);
    onCase?.(number);
    if (!problem) continue;
    const small = shrunk(format, one, problem.kind);
    return {
      stats,
      finding: { format: format.name, number, problem: problemOf(format, small).problem ?? problem, case: small },
    };
  }
  return { stats, finding: undefined };
};
