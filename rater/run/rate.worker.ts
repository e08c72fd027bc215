/** Entry of a rating worker; the rules are in `rate.ts`. */
import type { RatedLine } from '#schemas/rated-line.ts';
import { rateShard } from '../price/rate.ts';
import type { RatingShard } from '../price/rating-task.ts';

export default (shard: RatingShard): RatedLine[] => rateShard(shard);
