/** Entry of a rating worker that works for a simulation. */
import { chargeSums, type PeriodSum, type PeriodsToSum } from './charge-sums.ts';

export default (task: PeriodsToSum): PeriodSum[] => chargeSums(task);
