/**
 * Every version that the local servers are pinned to or measured against, and how a version is read out of what a
 * program prints.
 */

export type Version = readonly [major: number, minor: number, patch: number];

export const versions = {
  nats: {
    module: 'github.com/nats-io/nats-server/v2',
    /** What `go install` builds where no new enough server is found. */
    pin: 'v2.12.15',
  },
  /** The generator of load that `npm run bench:k6` uses: built where no new enough one is on the PATH. */
  k6: { module: 'go.k6.io/k6', pin: 'v1.8.1', least: [1, 0, 0] },
  /** From here on `go` fetches the newer toolchain that a module asks for by itself. */
  go: { least: [1, 21, 0] },
  /** From here on small hashes are listpacks, which the claims of the ingest gateway count on for their size. */
  redis: { least: [7, 0, 0] },
} as const satisfies Record<string, Record<string, string | Version>>;

/**
 * The first `1.2` or `1.2.3` in a text, whatever stands around it: `nats-server: v2.9.10`, `go version go1.26.8
 * linux/amd64`.
 */
export const parseVersion = (text: string): Version | undefined => {
  const found = /(?<![\d.])(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  return found ? [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)] : undefined;
};

export const isAtLeast = (version: Version, least: Version): boolean => {
  for (const [index, part] of version.entries()) {
    if (part !== least[index]) return part > (least[index] ?? 0);
  }
  return true;
};

export const versionText = (version: Version): string => version.join('.');
