-- Rows are only ever added, at the end of their wallet. REPLACE deletes without asking triggers, so
-- that a number that is taken has to be refused on its way in.
CREATE TRIGGER balance_ledger_is_not_changed BEFORE UPDATE ON balance_ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER balance_ledger_is_not_deleted BEFORE DELETE ON balance_ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER balance_ledger_grows_at_its_end BEFORE INSERT ON balance_ledger
WHEN NEW.seq <> (SELECT entries FROM balance_wallets WHERE wallet_id = NEW.wallet_id)
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER balance_wallets_stay BEFORE DELETE ON balance_wallets
BEGIN SELECT RAISE(ABORT, 'wallets stay'); END;
