-- What is taken off invoices. A coupon says what; a discount is a coupon that a customer or a subscription has; what an invoice took off by one stands in `discount_uses`.
CREATE TABLE coupons (
  id                           text PRIMARY KEY,
  organization_id              text NOT NULL REFERENCES organizations,
  code                         text NOT NULL,
  name                         text NOT NULL,
  kind                         text NOT NULL CHECK (kind IN ('percentage', 'amount', 'free_units')),
  percentage                   numeric(9, 6) CHECK (percentage > 0 AND percentage <= 100),
  amount                       numeric CHECK (amount > 0),
  currency                     text,
  free_units                   numeric CHECK (free_units > 0),
  duration                     text NOT NULL CHECK (duration IN ('once', 'repeating', 'forever')),
  duration_periods             integer CHECK (duration_periods > 0),
  -- Empty: of all charges, plans and kinds.
  charge_codes                 text[] NOT NULL,
  plan_ids                     text[] NOT NULL,
  charge_kinds                 text[] NOT NULL CHECK (charge_kinds <@ ARRAY['usage', 'recurring', 'one_time']),
  max_redemptions              integer CHECK (max_redemptions > 0),
  max_redemptions_per_customer integer CHECK (max_redemptions_per_customer > 0),
  first_time_customers_only    boolean NOT NULL,
  -- Until when it is redeemed, and until when it takes something off.
  redeem_by                    timestamptz,
  expires_at                   timestamptz,
  archived_at                  timestamptz,
  -- How often it was redeemed.
  redemptions                  integer NOT NULL DEFAULT 0,
  metadata                     jsonb NOT NULL,
  version                      integer NOT NULL,
  created_at                   timestamptz NOT NULL,
  updated_at                   timestamptz NOT NULL,
  UNIQUE (organization_id, code),
  UNIQUE (organization_id, id),
  CHECK ((percentage IS NOT NULL) = (kind = 'percentage')),
  CHECK ((amount IS NOT NULL) = (kind = 'amount') AND (currency IS NOT NULL) = (kind = 'amount')),
  CHECK ((free_units IS NOT NULL) = (kind = 'free_units') AND (kind <> 'free_units' OR cardinality(charge_codes) = 1)),
  CHECK ((duration_periods IS NOT NULL) = (duration = 'repeating')),
  CONSTRAINT coupons_within_limit CHECK (redemptions <= max_redemptions)
);
CREATE INDEX coupons_by_creation ON coupons (organization_id, created_at, id);

-- What was redeemed stays what it is.
CREATE FUNCTION refuse_change_of_coupon() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life text[] := '{name,redeem_by,expires_at,archived_at,redemptions,metadata,version,updated_at}';
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.id = OLD.id AND NEW.organization_id = OLD.organization_id AND NEW.code = OLD.code AND NEW.redemptions >= OLD.redemptions
    AND (OLD.redemptions = 0 OR (to_jsonb(NEW) - life) = (to_jsonb(OLD) - life)) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'coupons: % refused: what was redeemed stays', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON coupons FOR EACH ROW EXECUTE FUNCTION refuse_change_of_coupon();
CREATE TRIGGER immutable BEFORE TRUNCATE ON coupons FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER code_is_no_id BEFORE INSERT OR UPDATE OF code ON coupons
  FOR EACH ROW WHEN (NEW.code ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$') EXECUTE FUNCTION refuse_name_like_an_id();

-- What customers are told, by which they redeem a coupon.
CREATE TABLE promotion_codes (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  coupon_id       text NOT NULL,
  code            text NOT NULL,
  -- The only one who can redeem it.
  customer_id     text,
  max_redemptions integer CHECK (max_redemptions > 0),
  redeem_by       timestamptz,
  archived_at     timestamptz,
  redemptions     integer NOT NULL DEFAULT 0,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, id),
  FOREIGN KEY (organization_id, coupon_id) REFERENCES coupons (organization_id, id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  CONSTRAINT promotion_codes_within_limit CHECK (redemptions <= max_redemptions)
);
-- In whatever case it is written.
CREATE UNIQUE INDEX promotion_codes_active ON promotion_codes (organization_id, lower(code)) WHERE archived_at IS NULL;
CREATE INDEX promotion_codes_by_creation ON promotion_codes (organization_id, created_at, id);
CREATE INDEX promotion_codes_by_coupon ON promotion_codes (coupon_id, created_at, id);

CREATE FUNCTION refuse_change_of_promotion_code() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life text[] := '{redeem_by,archived_at,redemptions,metadata,version,updated_at}';
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.redemptions >= OLD.redemptions AND (to_jsonb(NEW) - life) = (to_jsonb(OLD) - life) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'promotion_codes: % refused: what customers were told stays', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON promotion_codes FOR EACH ROW EXECUTE FUNCTION refuse_change_of_promotion_code();
CREATE TRIGGER immutable BEFORE TRUNCATE ON promotion_codes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER code_is_no_id BEFORE INSERT OR UPDATE OF code ON promotion_codes
  FOR EACH ROW WHEN (NEW.code ~ '^[A-Za-z]{3}_[0-9A-Fa-f]{32}$') EXECUTE FUNCTION refuse_name_like_an_id();

CREATE TABLE discounts (
  id                text PRIMARY KEY,
  organization_id   text NOT NULL REFERENCES organizations,
  coupon_id         text NOT NULL,
  promotion_code_id text,
  -- Who has it, or whose subscription.
  customer_id       text NOT NULL,
  subscription_id   text,
  -- When it was redeemed, and ended.
  started_at        timestamptz NOT NULL,
  ended_at          timestamptz CHECK (ended_at >= started_at),
  metadata          jsonb NOT NULL,
  version           integer NOT NULL,
  created_at        timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL,
  UNIQUE (organization_id, id),
  FOREIGN KEY (organization_id, coupon_id) REFERENCES coupons (organization_id, id),
  FOREIGN KEY (organization_id, promotion_code_id) REFERENCES promotion_codes (organization_id, id),
  FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id),
  FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id)
);
-- What issuing asks.
CREATE INDEX discounts_held ON discounts (organization_id, customer_id) WHERE ended_at IS NULL;
CREATE INDEX discounts_by_customer ON discounts (customer_id, created_at, id);
CREATE INDEX discounts_by_subscription ON discounts (subscription_id, created_at, id) WHERE subscription_id IS NOT NULL;
-- How often a customer redeemed a coupon.
CREATE INDEX discounts_by_coupon ON discounts (coupon_id, customer_id);

CREATE FUNCTION refuse_change_of_discount() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life text[] := '{ended_at,metadata,version,updated_at}';
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.ended_at IS NULL AND (to_jsonb(NEW) - life) = (to_jsonb(OLD) - life) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'discounts: % refused: it ends once, and stays', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON discounts FOR EACH ROW EXECUTE FUNCTION refuse_change_of_discount();
CREATE TRIGGER immutable BEFORE TRUNCATE ON discounts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A row an invoice and billing period that a discount counts. One that is used once has no period, and at most one row for good.
CREATE TABLE discount_uses (
  organization_id text NOT NULL REFERENCES organizations,
  discount_id     text NOT NULL,
  invoice_id      text NOT NULL REFERENCES invoices,
  is_once         boolean NOT NULL,
  subscription_id text,
  period_start    timestamptz CHECK ((period_start IS NULL) = (subscription_id IS NULL)),
  -- What was taken off, less what was given back of it.
  amount          numeric NOT NULL,
  FOREIGN KEY (organization_id, discount_id) REFERENCES discounts (organization_id, id),
  FOREIGN KEY (organization_id, subscription_id) REFERENCES subscriptions (organization_id, id),
  CHECK (NOT is_once OR subscription_id IS NULL)
);
CREATE UNIQUE INDEX discount_uses_once ON discount_uses (discount_id) WHERE is_once;
CREATE UNIQUE INDEX discount_uses_counted ON discount_uses (discount_id, invoice_id, coalesce(subscription_id, ''), coalesce(period_start, '-infinity'));
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON discount_uses FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$ DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['refuse_change_of_coupon', 'refuse_change_of_promotion_code', 'refuse_change_of_discount'] LOOP
    EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
    EXECUTE format('REVOKE ALL ON FUNCTION %I() FROM PUBLIC', name);
  END LOOP;
END $$;

GRANT SELECT, INSERT ON coupons, promotion_codes, discounts TO millrace_app;
GRANT UPDATE (name, percentage, amount, currency, free_units, duration, duration_periods, charge_codes, plan_ids, charge_kinds, max_redemptions, max_redemptions_per_customer,
  first_time_customers_only, redeem_by, expires_at, archived_at, redemptions, metadata, version, updated_at) ON coupons TO millrace_app;
GRANT UPDATE (redeem_by, archived_at, redemptions, metadata, version, updated_at) ON promotion_codes TO millrace_app;
GRANT UPDATE (ended_at, metadata, version, updated_at) ON discounts TO millrace_app;
GRANT SELECT ON coupons, discounts TO millrace_worker;
GRANT SELECT ON discount_uses TO millrace_app;
GRANT SELECT, INSERT ON discount_uses TO millrace_worker;
DO $$ DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['coupons', 'promotion_codes', 'discounts', 'discount_uses'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization())) WITH CHECK (organization_id = (SELECT current_organization()))', name);
    IF name <> 'promotion_codes' THEN
      EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
    END IF;
  END LOOP;
END $$;

-- Of a draft, as they were computed last; summed up, as on an invoice.
ALTER TABLE invoice_drafts ADD COLUMN discounts json NOT NULL DEFAULT '[]';
