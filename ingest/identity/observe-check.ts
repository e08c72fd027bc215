/** What is measured and logged of the identity check, apart from the use case. Once per batch, and never per event. */
import type { Log } from '#platform/process/log.ts';
import { type Metrics, powersOfTen, workSeconds } from '#platform/process/metrics.ts';
import type { CheckPorts, IdentityCheck } from './check-identity.ts';

export const observeCheck = (metrics: Metrics, log: Log): CheckPorts['report'] => {
  const events = metrics.counter(
    'millrace_checker_events_total',
    'Stored events that were held against all before them',
  );
  const twins = metrics.counter(
    'millrace_checker_twins_total',
    'Stored events that do not count, as their key came before, by whether they say the same',
    ['reason'],
  );
  const cleared = metrics.counter(
    'millrace_checker_cleared_total',
    'Events that could not be ruled out in memory, were looked up, and are no twins',
  );
  const again = metrics.counter(
    'millrace_checker_again_total',
    'Ranges that were checked once more, as they held keys that nobody had seen',
  );
  const lag = metrics.histogram(
    'millrace_checker_lag_seconds',
    'From the receipt of an event until it is checked, of the oldest of a batch',
    workSeconds,
  );
  const batch = metrics.histogram('millrace_checker_batch_events', 'Events of one check', powersOfTen);
  return {
    checked: (checked) => {
      events.inc(checked.events);
      const found = checked.twins.twin + checked.twins.conflict;
      cleared.inc(checked.suspects - found);
      batch.observe(checked.events);
      if (checked.lagMs !== undefined) lag.observe(checked.lagMs / 1000);
      for (const [reason, count] of Object.entries(checked.twins)) if (count > 0) twins.labels(reason).inc(count);
      if (found > 0) log.info({ twins: found, upTo: checked.upTo }, 'later twins were made void');
    },
    again: (fromSequence) => {
      again.inc();
      log.warn(
        { fromSequence },
        'the store holds keys that no check has seen: the stream gave their sequences twice; the range is checked once more',
      );
    },
  };
};

/** What stands at the moment. The sequences are left out before the first look at the stream. */
export const observeHoldings = (metrics: Metrics, { known, standing, waitingMs }: IdentityCheck): void => {
  const asked = () => {
    const now = standing();
    if (!now) throw new Error('nothing was checked yet');
    return now;
  };
  metrics.gaugeOf(
    'millrace_checker_behind_messages',
    'Stream messages that are not checked yet',
    () => asked().last - asked().covered,
  );
  metrics.gaugeOf(
    'millrace_checker_waiting_seconds',
    'How long the oldest event that is not checked yet has waited',
    () => waitingMs() / 1000,
  );
  metrics.gaugeOf(
    'millrace_checker_keys',
    'Keys that the checker knows, exactly or in filters',
    () => {
      const { openKeys, closedKeys } = known.holdings();
      return { open: openKeys, closed: closedKeys };
    },
    'state',
  );
  metrics.gaugeOf(
    'millrace_checker_bytes',
    'Memory that the known keys take',
    () => {
      const { openBytes, closedBytes } = known.holdings();
      return { open: openBytes, closed: closedBytes };
    },
    'state',
  );
  metrics.gaugeOf(
    'millrace_checker_generations',
    'Closed generations of keys within the window',
    () => known.holdings().generations,
  );
};
