-- Whether a purchase was taken back because its money went back: if the money comes back, so does the purchase. What an
-- administrator takes back stays so. Of what was taken back before this migration, and whose money went back, too, it isn't
-- known which was first: it is taken for paid back.
ALTER TABLE billing_grants ADD COLUMN paid_back boolean NOT NULL DEFAULT false;

UPDATE billing_grants
SET paid_back = true
WHERE revoked_at IS NOT NULL
  AND payment_id IN (SELECT id FROM billing_payments WHERE refunded >= amount);
