/**
 * One Ctrl-C can arrive several times: from the terminal, which tells every process at once, and from npm, which passes
 * it on.
 */
const sameKeypressMs = 1000;

/**
 * Calls `stop` once, on the first SIGINT, SIGTERM or SIGHUP, or when the bootstrap that started this process is gone. A
 * later SIGINT that can't be the same keypress calls `force`: the user does not want to wait for the drain. SIGTERM
 * never forces: supervisors send it more than once.
 */
export const onStopSignals = (handlers: { stop(reason: string): void; force(): void }): void => {
  let firstAt: number | undefined;
  const hear = (reason: string) => {
    const now = performance.now();
    if (firstAt === undefined) {
      firstAt = now;
      handlers.stop(reason);
    } else if (reason === 'SIGINT' && now - firstAt > sameKeypressMs) {
      handlers.force();
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => hear(signal));
  process.on('disconnect', () => hear('the process that started this one is gone'));
  // Listening must not keep a process up that has nothing left to do.
  process.channel?.unref();
};
