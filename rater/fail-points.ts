/**
 * The fail points of the rater (`platform/process/fail-point.ts`), around its ports and never inside of a use case.
 * Without one the ports come back as they are.
 */
import { around, type FailPoint } from '#platform/process/fail-point.ts';
import type { RatePorts } from './run/rate-period.ts';

export const failAtRate = (ports: RatePorts, failPoint: FailPoint | undefined): RatePorts => {
  if (!failPoint) return ports;
  const { runs } = ports;
  return {
    ...ports,
    runs: {
      ...runs,
      takeWatermark: around(runs.takeWatermark, failPoint, { after: 'rater.after_watermark' }),
      cutRun: around(runs.cutRun, failPoint, { before: 'rater.before_cut', after: 'rater.after_cut' }),
      saveRated: around(runs.saveRated, failPoint, { before: 'rater.before_lines', after: 'rater.after_lines' }),
    },
  };
};
