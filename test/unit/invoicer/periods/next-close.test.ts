import { describe, expect, it } from 'vitest';
import {
  boundsAt,
  type EndedRun,
  lateMsAt,
  nextCloseAt,
  pauseMsAfter,
  type Standing,
} from '../../../../invoicer/periods/next-close.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const due = Date.UTC(2026, 10, 1);

const standing = (changes: Partial<Standing> = {}): Standing => ({
  organizationId: 'org',
  closing: { isAutomatic: true, graceMs: hour },
  nextDueAt: due,
  openDueAt: undefined,
  finalizeAt: undefined,
  hasOpenRun: false,
  endedRuns: [],
  ...changes,
});

const ended = (changes: Partial<EndedRun> = {}): EndedRun => ({
  endedAt: due + 10 * minute,
  dueUntil: due - 1,
  hasFailed: false,
  hasFailures: false,
  wasEmpty: false,
  ...changes,
});
const failed = ended({ hasFailed: true });
const withFailures = ended({ hasFailures: true });

describe('the next close', () => {
  it('is when the first subscription is to be looked at', () => {
    expect(nextCloseAt(standing())).toBe(due);
  });

  it('is never where nothing is due, nobody closes, or a run is under way', () => {
    expect(nextCloseAt(standing({ nextDueAt: undefined }))).toBeUndefined();
    expect(nextCloseAt(standing({ closing: { isAutomatic: false, graceMs: 0 } }))).toBeUndefined();
    expect(nextCloseAt(standing({ hasOpenRun: true }))).toBeUndefined();
  });

  it('follows a run that ended well at once', () => {
    expect(nextCloseAt(standing({ endedRuns: [ended()] }))).toBe(due + 10 * minute);
    expect(nextCloseAt(standing({ endedRuns: [ended({ endedAt: due - 1 })] }))).toBe(due);
  });

  it('rests for ten seconds after six runs in a row that looked at the same and found nothing', () => {
    const inVain = ended({ wasEmpty: true, dueUntil: due });
    const pauseAfter = (...endedRuns: EndedRun[]) => (nextCloseAt(standing({ endedRuns })) ?? 0) - inVain.endedAt;
    const five = Array.from({ length: 5 }, () => inVain);
    expect(pauseAfter(...five)).toBe(0);
    expect(pauseAfter(...five, inVain)).toBe(10_000);
    expect(pauseAfter(...five, { ...inVain, dueUntil: due - 1 })).toBe(0);
    expect(pauseAfter(...five, ended({ dueUntil: due }))).toBe(0);
  });

  it.each([
    [1, 1],
    [2, 4],
    [3, 16],
    [4, 64],
    [5, 256],
    [6, 360],
    [40, 360],
  ])('rests after %i faults in a row for %i minutes', (faults, minutes) => {
    expect(pauseMsAfter(faults)).toBe(minutes * minute);
    const endedRuns = Array.from({ length: faults }, () => failed);
    expect(nextCloseAt(standing({ endedRuns }))).toBe(failed.endedAt + minutes * minute);
  });

  it('counts faults since the last run that ended well alone', () => {
    expect(nextCloseAt(standing({ endedRuns: [failed, ended(), failed, failed] }))).toBe(failed.endedAt + minute);
  });

  it('does not wait with what is newly due for what single billing periods were refused for', () => {
    const both = standing({ endedRuns: [withFailures, withFailures], openDueAt: due - day });
    expect(nextCloseAt(both)).toBe(withFailures.endedAt);
    expect(nextCloseAt({ ...both, nextDueAt: due + day })).toBe(withFailures.endedAt + 4 * minute);
    expect(nextCloseAt({ ...both, nextDueAt: undefined })).toBe(withFailures.endedAt + 4 * minute);
  });

  it('of a billing period that is open and was never tried is when its late events had their time', () => {
    expect(nextCloseAt(standing({ nextDueAt: undefined, openDueAt: due }))).toBe(due + hour);
  });
});

describe('a draft that is to be finalized', () => {
  const byHand = { isAutomatic: false, graceMs: hour };

  it('is a cause of its own, also where nobody closes', () => {
    expect(nextCloseAt(standing({ nextDueAt: undefined, finalizeAt: due }))).toBe(due);
    expect(nextCloseAt(standing({ closing: byHand, finalizeAt: due + minute }))).toBe(due + minute);
    expect(nextCloseAt(standing({ closing: byHand, openDueAt: due }))).toBeUndefined();
    expect(nextCloseAt(standing({ finalizeAt: due - minute }))).toBe(due - minute);
    expect(nextCloseAt(standing({ finalizeAt: due - minute, hasOpenRun: true }))).toBeUndefined();
  });

  it('rests after runs that failed as a whole', () => {
    const of = standing({ closing: byHand, finalizeAt: due, endedRuns: [failed, failed] });
    expect(nextCloseAt(of)).toBe(failed.endedAt + 4 * minute);
  });

  it('closes nothing where nobody closes, and has its place in the order of time where somebody does', () => {
    expect(boundsAt(standing({ closing: byHand, finalizeAt: due }), due + 5 * day)).toEqual({
      dueUntil: due + 5 * day,
      arrearsUntil: due + 5 * day,
      draftsOnly: true,
    });
    const finalizeAt = due - 2 * day;
    expect(boundsAt(standing({ finalizeAt }), due + 5 * day)).toMatchObject({
      dueUntil: finalizeAt + day - 1,
      draftsOnly: false,
    });
  });

  it('is late from its instant on', () => {
    expect(lateMsAt(standing({ nextDueAt: undefined, finalizeAt: due }), due + minute)).toBe(minute);
    expect(lateMsAt(standing({ closing: byHand, finalizeAt: due }), due + minute)).toBe(minute);
  });
});

describe('a run', () => {
  it('bills what is due by now, and in arrears what ended before the wait for late events', () => {
    expect(boundsAt(standing(), due + minute)).toEqual({
      dueUntil: due + minute,
      arrearsUntil: due + minute - hour,
      draftsOnly: false,
    });
  });

  it('takes less than a day of what was left, the oldest first, and waits for no late events of long ago', () => {
    expect(boundsAt(standing(), due + 5 * day)).toEqual({
      dueUntil: due + day - 1,
      arrearsUntil: due + day - 1,
      draftsOnly: false,
    });
    expect(boundsAt(standing(), due + day + minute)).toEqual({
      dueUntil: due + day - 1,
      arrearsUntil: due + day + minute - hour,
      draftsOnly: false,
    });
  });

  it('of what was written down and not billed goes up to now', () => {
    expect(boundsAt(standing({ nextDueAt: undefined, openDueAt: due }), due + 5 * day).dueUntil).toBe(due + 5 * day);
    expect(boundsAt(standing({ nextDueAt: due + 9 * day }), due + 5 * day).dueUntil).toBe(due + 5 * day);
  });
});

describe('late is', () => {
  it('what is due beyond the wait for late events, whether it is written down or not', () => {
    expect(lateMsAt(standing(), due + hour)).toBe(0);
    expect(lateMsAt(standing(), due + hour + 1)).toBe(1);
    expect(lateMsAt(standing({ nextDueAt: undefined, openDueAt: due }), due + 3 * hour)).toBe(2 * hour);
    expect(lateMsAt(standing({ openDueAt: due - hour }), due + hour)).toBe(hour);
  });

  it('nothing where nobody closes, or nothing is due', () => {
    expect(lateMsAt(standing({ closing: { isAutomatic: false, graceMs: 0 } }), due + day)).toBe(0);
    expect(lateMsAt(standing({ nextDueAt: undefined }), due + day)).toBe(0);
  });
});
