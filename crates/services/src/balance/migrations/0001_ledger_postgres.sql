-- Rows are only ever added.
CREATE FUNCTION balance_ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only';
END;
$$;
CREATE TRIGGER balance_ledger_is_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON balance_ledger
FOR EACH STATEMENT EXECUTE FUNCTION balance_ledger_is_append_only();
CREATE TRIGGER balance_wallets_stay BEFORE DELETE OR TRUNCATE ON balance_wallets
FOR EACH STATEMENT EXECUTE FUNCTION balance_ledger_is_append_only();
