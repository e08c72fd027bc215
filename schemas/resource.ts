/** What is said of a resource of the API in its row. */

/** `title` and `cause` say what is so, `cure` what the caller does. */
export type Failure = {
  readonly status: number;
  readonly title: string;
  readonly cause: string;
  readonly cure: string;
};

/**
 * How a column becomes text for a digest, so that it is the same text in every session: `text` is PostgreSQL's own,
 * which no setting changes for these types.
 */
export type ColumnForm = 'text' | 'instant' | 'bytes';

export type Resource = {
  /** Of its ids: three letters, of no other kind. */
  readonly prefix: string;
  readonly noun: string;
  /** The noun where the sentence has said the rest of it. */
  readonly shortNoun?: string;
  /** The heading of its operations in the documents, and what it is about. */
  readonly tag: string;
  readonly about: string;
  /** The field that the caller names it by, beside its id: unique in the organization. */
  readonly name?: 'code' | 'external_id';
  /** `meters` gives `read:meters` and `write:meters`. */
  readonly scope?: string;
  /** What is refused of it alone, with 409. */
  readonly conflicts?: Readonly<Record<string, Failure>>;
  /**
   * Where it is one row of a table that has, beside these, `id`, `organization_id`, `version`, `created_at` and
   * `updated_at`: what of it is digested. What has more than that stands in `audited-objects.ts` itself. For good:
   * other columns, or another order, are another digest.
   */
  readonly stored?: { readonly table: string; readonly columns: Readonly<Record<string, ColumnForm>> };
};
