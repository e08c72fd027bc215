-- What billing periods and invoices name keeps its name: they are checked when they are written, and no key holds what they name since. A statement that
-- names none of these columns fires nothing.
CREATE TRIGGER keeps_its_name AFTER UPDATE OF id, organization_id, customer_id ON subscriptions FOR EACH ROW
  WHEN ((NEW.id, NEW.organization_id, NEW.customer_id) IS DISTINCT FROM (OLD.id, OLD.organization_id, OLD.customer_id))
  EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keeps_its_name AFTER UPDATE OF id, organization_id ON customers FOR EACH ROW
  WHEN ((NEW.id, NEW.organization_id) IS DISTINCT FROM (OLD.id, OLD.organization_id)) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keeps_its_name AFTER UPDATE OF id, organization_id ON billing_runs FOR EACH ROW
  WHEN ((NEW.id, NEW.organization_id) IS DISTINCT FROM (OLD.id, OLD.organization_id)) EXECUTE FUNCTION refuse_change();
