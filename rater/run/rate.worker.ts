/** Entry of a rating worker; the rules are in `rater/price`. */
import type { MeasuredShard } from '../price/rating-task.ts';
import { type RatedRows, ratedRows } from './rated-rows.ts';

export default (shard: MeasuredShard): RatedRows => ratedRows(shard);
