/** What the audit log digests of an object of one type. */
import type { ColumnForm } from '#schemas/resources.ts';

/** The rows of an object that stand in another table. */
export type ChildRows = {
  readonly table: string;
  /** The column that names the object, or the row one step up. */
  readonly parent: string;
  /** In this order; together unique within the parent. */
  readonly order: readonly string[];
  readonly columns: Readonly<Record<string, ColumnForm>>;
  readonly children?: readonly ChildRows[];
  /** A condition on the object's row `t`, where these rows are digested only from some state on. */
  readonly when?: string;
};

export type AuditedObject = {
  readonly table: string;
  /** Of the organization's row itself it is `id`. */
  readonly organization: string;
  /** What the entry says that brought it, or found it there. */
  readonly created: readonly string[];
  readonly createdAt: string;
  /** Its version counts its entries. */
  readonly isVersioned: boolean;
  readonly columns: Readonly<Record<string, ColumnForm>>;
  /**
   * Columns that processes move by themselves, and the state on which they have come to rest, with an entry of its own;
   * a condition on the row `t`.
   */
  readonly settling?: { readonly columns: Readonly<Record<string, ColumnForm>>; readonly when: string };
  readonly children: readonly ChildRows[];
  /**
   * The number of this set of columns, which each digest begins with. Another set is another number, and the one from
   * before stands in `earlier`, or old entries would stop verifying.
   */
  readonly form?: number;
  readonly earlier?: readonly Omit<AuditedObject, 'earlier'>[];
};
