/** Entry of a rating worker that works for a simulation. */
import type { Amount } from '#schemas/money.ts';
import { chargeSums, type PeriodsToSum } from './charge-sums.ts';

export default (task: PeriodsToSum): Amount[] => chargeSums(task);
