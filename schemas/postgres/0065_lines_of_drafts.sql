-- The lines of a one-off invoice are changed while it is a draft, and with them what they come to.
GRANT UPDATE (lines, line_count, subtotal, discounts, taxes, computed_at) ON invoice_drafts TO millrace_app;
