/** One Ctrl-C can arrive several times: from the terminal, which tells every process at once, and from npm, which passes it on. */
const sameKeypressMs = 1000;

/**
 * Calls `stop` on the first SIGINT, SIGTERM or SIGHUP. A later SIGINT that can't be the same keypress calls `force`: the user does not
 * want to wait for the drain. SIGTERM never forces: supervisors send it more than once.
 */
export const onStopSignals = (handlers: { stop(signal: NodeJS.Signals): void; force(): void }): void => {
  let firstAt: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      const now = performance.now();
      if (firstAt === undefined) {
        firstAt = now;
        handlers.stop(signal);
      } else if (signal === 'SIGINT' && now - firstAt > sameKeypressMs) {
        handlers.force();
      }
    });
  }
};
