/**
 * How many requests an organization may send, by its tier and by what the request does. One table, from which the
 * limiter takes its numbers; `docs/rate-limits.md` shows it, and a test holds the two together.
 */

/** What a request does: reads, changes, touches money or secrets, brings in usage, or reads with a publishable key. */
export const rateClasses = ['read', 'write', 'sensitive', 'events', 'public'] as const;
export type RateClass = (typeof rateClasses)[number];

/** As in `organizations.tier`. */
export const organizationTiers = ['starter', 'standard', 'scale'] as const;
export type OrganizationTier = (typeof organizationTiers)[number];

/** All in requests. `perSecond` tokens flow into a bucket that holds `burst`; `dailyQuota` ends with the day in UTC. */
export type Limit = { readonly perSecond: number; readonly burst: number; readonly dailyQuota: number };

/**
 * A quota lies between an hour and a day of the full rate: the rate is for peaks, the quota for what a day may come to.
 * `burst` is at least as much as a second brings, or a steady stream at the full rate would be refused by its own
 * jitter.
 */
export const rateTiers: { readonly [T in OrganizationTier]: { readonly [C in RateClass]: Limit } } = {
  starter: {
    read: { perSecond: 50, burst: 100, dailyQuota: 1_000_000 },
    write: { perSecond: 10, burst: 50, dailyQuota: 200_000 },
    sensitive: { perSecond: 1, burst: 10, dailyQuota: 5_000 },
    events: { perSecond: 500, burst: 1_000, dailyQuota: 10_000_000 },
    public: { perSecond: 20, burst: 50, dailyQuota: 500_000 },
  },
  standard: {
    read: { perSecond: 500, burst: 1_000, dailyQuota: 10_000_000 },
    write: { perSecond: 100, burst: 500, dailyQuota: 2_000_000 },
    sensitive: { perSecond: 5, burst: 20, dailyQuota: 25_000 },
    events: { perSecond: 5_000, burst: 10_000, dailyQuota: 100_000_000 },
    public: { perSecond: 200, burst: 500, dailyQuota: 5_000_000 },
  },
  scale: {
    read: { perSecond: 5_000, burst: 10_000, dailyQuota: 100_000_000 },
    write: { perSecond: 1_000, burst: 5_000, dailyQuota: 20_000_000 },
    sensitive: { perSecond: 20, burst: 100, dailyQuota: 100_000 },
    events: { perSecond: 50_000, burst: 100_000, dailyQuota: 1_000_000_000 },
    public: { perSecond: 2_000, burst: 5_000, dailyQuota: 50_000_000 },
  },
};

/** From this part of its daily quota on an organization is warned. */
export const quotaWarningPercent = 80;
