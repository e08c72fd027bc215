/** SQL: nothing is carried over for longer, from when it fell due first. */
export const carriedMax = "interval '365 days'";
