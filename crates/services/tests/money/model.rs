//! What money is, in plain memory: no database, no HTTP.

/// Why a step is refused, as its status says it.
pub(crate) type Status = u16;

const FOR_EVER: i64 = i64::MAX;

/// Credits with one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lot {
    /// The number of the entry that brought it.
    pub(crate) seq: i64,
    pub(crate) remaining: i64,
    pub(crate) expires_at: i64,
}

/// One change of a balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: &'static str,
    pub(crate) amount: i64,
    pub(crate) balance_after: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Wallet {
    /// Whether something has used it yet.
    pub(crate) is_made: bool,
    pub(crate) held: i64,
    pub(crate) lots: Vec<Lot>,
    pub(crate) entries: Vec<Entry>,
}

impl Wallet {
    pub(crate) fn balance(&self) -> i64 {
        self.lots.iter().map(|lot| lot.remaining).sum()
    }

    fn available(&self) -> i64 {
        self.balance() - self.held
    }

    fn append(&mut self, kind: &'static str, amount: i64) {
        let balance_after = self.balance();
        self.entries.push(Entry { kind, amount, balance_after });
    }

    /// The lots with something in them, those first that end first.
    fn open_lots(&mut self) -> Vec<&mut Lot> {
        let mut lots: Vec<_> = self.lots.iter_mut().filter(|lot| lot.remaining > 0).collect();
        lots.sort_by_key(|lot| (lot.expires_at, lot.seq));
        lots
    }

    /// Takes out what has ended, as far as it is not reserved.
    pub(crate) fn expire(&mut self, now: i64) {
        loop {
            let available = self.available();
            let mut lots = self.open_lots();
            let Some(first) = lots.first_mut() else { return };
            if first.expires_at > now || available <= 0 {
                return;
            }
            let amount = first.remaining.min(available);
            first.remaining -= amount;
            self.append("expire", -amount);
        }
    }

    /// What every change of a wallet begins with.
    fn touch(&mut self, now: i64) {
        self.is_made = true;
        self.expire(now);
    }

    fn credit(&mut self, kind: &'static str, amount: i64, expires_at: i64) {
        let seq = self.entries.len() as i64 + 1;
        self.lots.push(Lot { seq, remaining: amount, expires_at });
        self.append(kind, amount);
    }

    fn spend(&mut self, kind: &'static str, amount: i64) {
        let mut left = amount;
        for lot in self.open_lots() {
            let taken = left.min(lot.remaining);
            lot.remaining -= taken;
            left -= taken;
        }
        assert_eq!(left, 0, "the model spends what is there");
        self.append(kind, -amount);
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) user: usize,
    pub(crate) amount: i64,
    pub(crate) status: &'static str,
    pub(crate) deadline: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) user: usize,
    pub(crate) amount: i64,
    pub(crate) unpaid: i64,
    pub(crate) refunded: i64,
    pub(crate) status: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Topup {
    pub(crate) user: usize,
    pub(crate) amount: i64,
    pub(crate) status: &'static str,
    pub(crate) expires_at: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) amount: i64,
    pub(crate) status: &'static str,
    pub(crate) max_uses: usize,
    pub(crate) max_uses_per_user: usize,
    /// Who redeemed it.
    pub(crate) uses: Vec<usize>,
    pub(crate) expires_at: Option<i64>,
    /// How long the credits last.
    pub(crate) credits_last: Option<i64>,
}

/// Everything.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) wallets: Vec<Wallet>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) charges: Vec<Charge>,
    pub(crate) topups: Vec<Topup>,
    pub(crate) codes: Vec<Code>,
}

impl Model {
    pub(crate) fn new(users: usize) -> Self {
        Self {
            wallets: vec![Wallet::default(); users],
            holds: Vec::new(),
            charges: Vec::new(),
            topups: Vec::new(),
            codes: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, user: usize, amount: i64, ends: Option<i64>, now: i64) -> Status {
        let wallet = &mut self.wallets[user];
        wallet.touch(now);
        wallet.credit("add", amount, ends.unwrap_or(FOR_EVER));
        200
    }

    /// A refused step is undone as a whole: not even what has ended is taken out.
    fn debit(&mut self, user: usize, kind: &'static str, amount: i64, now: i64) -> Status {
        let mut wallet = self.wallets[user].clone();
        wallet.touch(now);
        if wallet.available() < amount {
            return 402;
        }
        wallet.spend(kind, amount);
        self.wallets[user] = wallet;
        200
    }

    pub(crate) fn sub(&mut self, user: usize, amount: i64, now: i64) -> Status {
        self.debit(user, "sub", amount, now)
    }

    pub(crate) fn charge(&mut self, user: usize, amount: i64, now: i64) -> Status {
        let status = self.debit(user, "charge", amount, now);
        if status == 200 {
            let charge = Charge { user, amount, unpaid: 0, refunded: 0, status: "settled" };
            self.charges.push(charge);
        }
        status
    }

    pub(crate) fn refund_charge(&mut self, index: usize, now: i64) -> Status {
        let charge = &mut self.charges[index];
        if charge.status == "refunded" {
            return 409;
        }
        let paid = charge.amount - charge.unpaid;
        (charge.status, charge.refunded) = ("refunded", paid);
        let wallet = &mut self.wallets[charge.user];
        wallet.touch(now);
        if paid > 0 {
            wallet.credit("refund", paid, FOR_EVER);
        }
        200
    }

    pub(crate) fn hold(&mut self, user: usize, amount: i64, lasts: i64, now: i64) -> Status {
        let mut wallet = self.wallets[user].clone();
        wallet.touch(now);
        if wallet.available() < amount {
            return 402;
        }
        wallet.held += amount;
        self.wallets[user] = wallet;
        self.holds.push(Hold { user, amount, status: "open", deadline: now + lasts });
        200
    }

    pub(crate) fn settle(&mut self, index: usize, amount: i64, now: i64) -> Status {
        let hold = &mut self.holds[index];
        let wallet = &mut self.wallets[hold.user];
        if hold.status == "settled" {
            return 200;
        }
        wallet.touch(now);
        if hold.status == "open" {
            wallet.held -= hold.amount;
        }
        hold.status = "settled";
        let charged = amount.min(wallet.available());
        if amount > 0 {
            let status = if charged < amount { "unpaid" } else { "settled" };
            let unpaid = amount - charged;
            self.charges.push(Charge { user: hold.user, amount, unpaid, refunded: 0, status });
        }
        if charged > 0 {
            wallet.spend("charge", charged);
        }
        200
    }

    pub(crate) fn release(&mut self, index: usize) -> Status {
        self.end_hold(index, "released");
        200
    }

    fn end_hold(&mut self, index: usize, status: &'static str) {
        let hold = &mut self.holds[index];
        if hold.status == "open" {
            self.wallets[hold.user].held -= hold.amount;
            hold.status = status;
        }
    }

    pub(crate) fn create_topup(&mut self, user: usize, amount: i64, now: i64) -> Status {
        // What is refused is undone as a whole.
        let mut topups = self.topups.clone();
        for topup in topups.iter_mut().filter(|topup| topup.user == user) {
            topup.expire(now);
        }
        let own = topups.iter().filter(|topup| topup.user == user);
        if own.filter(|topup| topup.status == "pending").count() == 20 {
            return 409;
        }
        let expires_at = now + 24 * 3_600_000;
        topups.push(Topup { user, amount, status: "pending", expires_at });
        self.topups = topups;
        200
    }

    pub(crate) fn finish_topup(&mut self, index: usize, now: i64) -> Status {
        let topup = &mut self.topups[index];
        if topup.status != "pending" {
            return 409;
        }
        topup.status = "paid";
        let wallet = &mut self.wallets[topup.user];
        wallet.touch(now);
        wallet.credit("topup", topup.amount, FOR_EVER);
        200
    }

    pub(crate) fn cancel_topup(&mut self, index: usize) -> Status {
        let topup = &mut self.topups[index];
        if topup.status != "pending" {
            return 409;
        }
        topup.status = "canceled";
        200
    }

    pub(crate) fn redeem(&mut self, user: usize, index: usize, now: i64) -> Status {
        let code = &mut self.codes[index];
        let is_over = code.expires_at.is_some_and(|end| end <= now);
        let own = code.uses.iter().filter(|by| **by == user).count();
        if code.status != "active" || is_over || own >= code.max_uses_per_user {
            return 409;
        }
        code.uses.push(user);
        if code.uses.len() == code.max_uses {
            code.status = "redeemed";
        }
        let ends = code.credits_last.map_or(FOR_EVER, |lasts| now + lasts);
        let wallet = &mut self.wallets[user];
        wallet.touch(now);
        wallet.credit("redeem", code.amount, ends);
        200
    }

    pub(crate) fn disable_code(&mut self, index: usize) -> Status {
        let code = &mut self.codes[index];
        if code.status != "active" {
            return 409;
        }
        code.status = "disabled";
        200
    }

    /// A payment that went back is told of again.
    pub(crate) fn claw_back_again(&mut self, user: usize, now: i64) {
        self.wallets[user].touch(now);
    }

    /// A payment goes back: what of it is still there.
    pub(crate) fn claw_back(&mut self, user: usize, amount: i64, now: i64) -> i64 {
        let wallet = &mut self.wallets[user];
        wallet.touch(now);
        let taken = amount.min(wallet.available());
        if taken > 0 {
            wallet.spend("refund", taken);
        }
        taken
    }

    /// What ends by itself.
    pub(crate) fn sweep(&mut self, now: i64) {
        for topup in &mut self.topups {
            topup.expire(now);
        }
        for index in 0..self.holds.len() {
            if self.holds[index].deadline <= now {
                self.end_hold(index, "expired");
            }
        }
        for wallet in &mut self.wallets {
            wallet.expire(now);
        }
    }
}

impl Topup {
    fn expire(&mut self, now: i64) {
        if self.status == "pending" && self.expires_at <= now {
            self.status = "canceled";
        }
    }
}
