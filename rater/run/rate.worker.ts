/** Entry of a rating worker; the rules are in `rater/price`. */
import type { MeasuredShard } from '../price/rating-task.ts';
import { type RatedShard, rateShard } from './rated-rows.ts';

export default (shard: MeasuredShard): RatedShard => rateShard(shard);
