/** How long to wait before something that died is started again. */

export type Backoff = { readonly firstMs: number; readonly longestMs: number; readonly healthyAfterMs: number };

export const backoff: Backoff = { firstMs: 200, longestMs: 5000, healthyAfterMs: 10_000 };

/**
 * The pause before the next restart: doubled each time, and short again for what had lived long enough to count as
 * healthy.
 */
export const nextPause = (
  lastPauseMs: number,
  livedMs: number,
  { firstMs, longestMs, healthyAfterMs }: Backoff,
): number => (livedMs >= healthyAfterMs || lastPauseMs === 0 ? firstMs : Math.min(2 * lastPauseMs, longestMs));
