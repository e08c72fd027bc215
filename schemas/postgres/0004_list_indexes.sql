-- The order of the lists, newest first with ids for ties: a page far behind is then one place of an index, like the first. Lists by another column than
-- these sort what their filters leave.
CREATE INDEX customers_by_creation ON customers (organization_id, created_at DESC, id DESC);
CREATE INDEX subscriptions_by_creation ON subscriptions (organization_id, created_at DESC, id DESC);
CREATE INDEX invoices_by_issue ON invoices (organization_id, issued_at DESC, id DESC);
CREATE INDEX invoices_by_customer_issue ON invoices (customer_id, issued_at DESC, id DESC);

-- Lists were ordered by id before.
DROP INDEX customers_by_organization, subscriptions_by_organization, invoices_by_organization, invoices_by_customer;
