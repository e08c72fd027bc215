/**
 * Which NATS server is new enough. Before 2.10 a stream that is made again begins at 1: what it lost would be hidden by
 * what comes after, and what is stored above its end would never be billed. Nor does it sync each write. Pure.
 */

/** The first that lets a stream begin anywhere, keeps metadata, and syncs each write. */
export const natsLeast = [2, 10] as const;

/** What is wrong with a server of a version, as it greets (`2.12.15`, `2.11.0-RC.1`); undefined where nothing is. */
export const natsVersionFault = (version: string | undefined): string | undefined => {
  const [, major, minor] = /^v?(\d+)\.(\d+)(?!\d)/.exec(version ?? '') ?? [];
  const [leastMajor, leastMinor] = natsLeast;
  const isRecent = Number(major) > leastMajor || (Number(major) === leastMajor && Number(minor) >= leastMinor);
  if (isRecent) return undefined;
  return `NATS ${version ?? 'of an unknown version'} is too old: ${natsLeast.join('.')} or newer is needed`;
};
