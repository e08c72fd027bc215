-- Of a line that somebody wrote, where it was given one: a charge has that of its plan version, which never changes. Hashed from content version 5 on.
ALTER TABLE invoice_lines ADD COLUMN tax_category text;
