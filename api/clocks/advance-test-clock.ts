/** The use case of setting a test clock going. */
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { found, readInstant, refuseFaults } from '../route/resource-fields.ts';
import type { TestClock, TestClockStore } from './test-clocks.postgres.ts';

/** Five years of 366 days: as many periods of a day are billed in some minutes. */
const advanceMsMax = 5 * 366 * 86_400_000;

export const advanceTestClock = async (
  clocks: Pick<TestClockStore, 'setGoing'>,
  db: Db,
  clock: TestClock,
  to: string,
  nowMs: Instant,
): Promise<TestClock> => {
  if (clock.state === 'advancing') throw new FailureError('TEST_CLOCK_ADVANCING');
  const faults: Fault[] = [];
  const target = readInstant(to, 'to', faults) ?? clock.now;
  refuseFaults(faults);
  const refuse = (message: string): void => refuseFaults([{ field: 'to', code: 'out_of_range', message }]);
  if (target <= clock.now) refuse('must be after the hour of the clock: time does not go back');
  if (target > clock.now + advanceMsMax) refuse('must be at most five years ahead of the hour of the clock');
  return found(await clocks.setGoing(db, clock.id, target, new Date(nowMs)), 'TEST_CLOCK_NOT_FOUND');
};
