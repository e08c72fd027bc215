/** Entry of a rating worker; the rules are in `rate.ts`. */
import type { RatedLine } from '#schemas/rated-line.ts';
import { rateShard } from './rate.ts';
import type { RatingShard } from './rating-task.ts';

export default (shard: RatingShard): RatedLine[] => rateShard(shard);
