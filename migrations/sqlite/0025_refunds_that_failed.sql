-- Whether a purchase was taken back because its money went back: if the money comes back, so does the purchase. What an
-- administrator took back stays so.
ALTER TABLE billing_grants ADD COLUMN paid_back INTEGER NOT NULL DEFAULT 0;

UPDATE billing_grants
SET paid_back = 1
WHERE revoked_at IS NOT NULL
  AND payment_id IN (SELECT id FROM billing_payments WHERE refunded >= amount);
