/** A rating worker that does not end, or dies, of a shard that has a subscription by that name; any other it rates. */
import type { MeasuredShard } from '../../rater/price/rating-task.ts';
import { type RatedShard, rateShard } from '../../rater/run/rated-rows.ts';

const deaths: Readonly<Record<string, () => void>> = {
  hang: () => {
    for (;;);
  },
  exit: () => process.exit(7),
  memory: () => {
    for (const held: unknown[] = []; ; ) held.push(Array.from({ length: 10_000 }, (_, index) => ({ index })));
  },
};

export default (shard: MeasuredShard): RatedShard => {
  for (const { subscriptionId } of shard.periods) deaths[subscriptionId]?.();
  return rateShard(shard);
};
