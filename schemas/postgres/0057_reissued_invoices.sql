-- A draft that takes the place of an invoice that was voided names it, and so does the invoice that is issued from it.
ALTER TABLE invoice_drafts ADD COLUMN reissue_of text REFERENCES invoices;
ALTER TABLE invoice_drafts ADD CONSTRAINT invoice_drafts_reissue CHECK (reissue_of IS NULL OR (kind = 'one_off' AND reissue_of <> id));
CREATE INDEX invoice_drafts_by_reissue ON invoice_drafts (reissue_of) WHERE reissue_of IS NOT NULL;
