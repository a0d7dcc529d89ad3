//! Redeem codes: credits that whoever knows the code takes, as often as the code says.

mod actions;
mod code;
mod record;
mod store;
mod throttle;

use downcity_core::audit::Trail;
use downcity_core::idempotency::IdempotentRequest;
use downcity_core::{Error, Random, Result, Secret};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Microcredits, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub(super) use actions::define;
use code::{Code, SYMBOLS};
use record::Stored;
pub use record::{CodeStatus, RedeemCode};
pub(super) use throttle::forget as forget_guesses;

use super::extra::Noted;
use super::topups::{json_text, merged};
use super::wallet::{self, Kind, NEVER, Note, Owner, Wallet};

/// What codes that are made together have in common.
#[derive(Clone, Debug)]
struct Terms {
    amount: Microcredits,
    noted: Noted,
    /// Empty for users of every city.
    city_id: String,
    batch_id: String,
    max_uses: i64,
    max_uses_per_user: i64,
    expires_at: Option<Timestamp>,
    credits_expire_at: Option<Timestamp>,
    credits_expire_ms: Option<i64>,
    now: Timestamp,
}

/// The symbols of codes that are to be made, drawn before the transaction.
#[derive(Clone, Debug)]
enum Symbols {
    /// The operator chose them.
    Chosen(Code),
    /// They are random.
    Drawn(Vec<Code>),
    /// They follow from a request that may be repeated, so that its second answer shows the same
    /// codes without their being stored.
    Derived(String, usize),
}

impl Symbols {
    fn new(random: &dyn Random, request: Option<&IdempotentRequest>, count: usize) -> Self {
        match request {
            Some(request) => Self::Derived(request.id(), count),
            None => Self::Drawn((0..count).map(|_| Code::generate(random)).collect()),
        }
    }

    /// The codes.
    fn codes(&self, trail: &Trail) -> Vec<Code> {
        match self {
            Self::Chosen(code) => vec![code.clone()],
            Self::Drawn(codes) => codes.clone(),
            Self::Derived(request, count) => {
                (0..*count).map(|number| derived(trail, request, number)).collect()
            }
        }
    }

    /// The code as the answer shows it.
    fn shown(&self, code: &Code) -> String {
        if matches!(self, Self::Chosen(_)) { code.plain() } else { code.grouped() }
    }
}

/// A code that nobody can tell without the vault's key: of two fingerprints of 64 bits each. The NUL
/// keeps it apart from every secret that can be stored, and so from every other fingerprint.
fn derived(trail: &Trail, request: &str, number: usize) -> Code {
    let mut hasher = Sha256::new();
    for half in 0..2 {
        let secret = Secret::new(format!("redeem code\0{number}.{half}\0{request}"));
        hasher.update(trail.fingerprint(&secret));
    }
    let mut bytes = [0; SYMBOLS];
    bytes.copy_from_slice(&hasher.finalize()[..SYMBOLS]);
    Code::of_bytes(bytes)
}

/// Adds a code.
///
/// # Errors
/// 409 when there is one of the same symbols.
fn create(tx: &mut Tx<'_>, redeem_code_id: &str, code: &Code, terms: &Terms) -> Result<RedeemCode> {
    let stored = Stored {
        redeem_code_id: redeem_code_id.to_owned(),
        code_hash: code.hash(),
        code_mask: code.mask(),
        amount: terms.amount.get(),
        status: CodeStatus::Active,
        note: terms.noted.note.clone().unwrap_or_default(),
        reference: terms.noted.reference.clone().unwrap_or_default(),
        metadata: json_text(&terms.noted.meta)?,
        city_id: terms.city_id.clone(),
        batch_id: terms.batch_id.clone(),
        uses: 0,
        max_uses: terms.max_uses,
        max_uses_per_user: terms.max_uses_per_user,
        expires_at: terms.expires_at.map(Timestamp::millis),
        credits_expire_at: terms.credits_expire_at.map(Timestamp::millis),
        credits_expire_ms: terms.credits_expire_ms,
        redeemed_by_user_id: String::new(),
        redeemed_at: None,
        created_at: terms.now.millis(),
        updated_at: terms.now.millis(),
    };
    if store::insert(tx, &stored)? {
        return Ok(stored.into_record());
    }
    Err(Error::new(ErrorCode::Conflict, "redeem_code already exists")
        .with_fix("Choose another code, or leave it out to have one made."))
}

/// Who redeems a code.
#[derive(Clone, Debug)]
struct Redeemer {
    owner: Owner,
    /// What the user says; never in the place of what the operator said.
    said: Map<String, Value>,
    now: Timestamp,
}

/// Redeems a code: takes one use of it, and credits its amount.
///
/// # Errors
/// 409 when no use is left, or none for this user.
fn redeem(tx: &mut Tx<'_>, code: &Stored, by: &Redeemer) -> Result<(Wallet, RedeemCode)> {
    let (code, number) = take_use(tx, code, by)?;
    let mut metadata: Map<String, Value> =
        serde_json::from_str(&code.metadata).map_err(Error::internal)?;
    metadata.extend(by.said.clone());
    metadata.insert("redeem_code_id".to_owned(), code.redeem_code_id.clone().into());
    metadata.insert("code_mask".to_owned(), code.code_mask.clone().into());
    let text = |text: &str, other: &str| (if text.is_empty() { other } else { text }).to_owned();
    let note = Note {
        kind: Kind::Redeem,
        note: text(&code.note, "redeem_code"),
        reference: text(&code.reference, &code.redeem_code_id),
        metadata,
        actor: "user".to_owned(),
        effect: Some(format!("redeem:{}:{number}", code.redeem_code_id)),
        now: by.now,
    };
    let end = credits_end(&code, by.now);
    let wallet = wallet::credit(tx, &by.owner, Microcredits(code.amount), end, &note)?;
    Ok((wallet, code.into_record()))
}

/// Takes one use of a code for a user; gives the code afterwards and the number of the use.
fn take_use(tx: &mut Tx<'_>, code: &Stored, by: &Redeemer) -> Result<(Stored, i64)> {
    let Some(mut taken) = store::take_use(tx, &code.redeem_code_id, &by.owner.user_id, by.now)?
    else {
        // It may have changed since it was read.
        let code = store::find(tx, &code.redeem_code_id)?.ok_or_else(unknown_code)?;
        return Err(not_active(code.status));
    };
    // The code is locked: nobody else counts or adds its uses meanwhile.
    let used = store::count_uses(tx, &taken.redeem_code_id, &by.owner)?;
    if used >= taken.max_uses_per_user {
        return Err(Error::new(
            ErrorCode::Conflict,
            "redeem_code is already redeemed by this user",
        ));
    }
    store::insert_redemption(
        tx,
        &store::Redemption {
            redeem_code_id: &taken.redeem_code_id,
            owner: &by.owner,
            use_number: used + 1,
            now: by.now,
        },
    )?;
    // What the users of a code for many say stands in their ledgers alone.
    if taken.max_uses == 1 && !by.said.is_empty() {
        taken.metadata = merged(&taken.metadata, &by.said)?;
        store::set_metadata(tx, &taken.redeem_code_id, &taken.metadata)?;
    }
    let number = taken.uses;
    Ok((taken, number))
}

/// When the credits of a code that is redeemed now end: the earlier one where it has two ends.
fn credits_end(code: &Stored, now: Timestamp) -> i64 {
    let after = code.credits_expire_ms.map(|millis| now.millis().saturating_add(millis));
    [code.credits_expire_at, after].into_iter().flatten().min().unwrap_or(NEVER)
}

/// Takes back a code.
///
/// # Errors
/// 404 for an unknown code, 409 for one that is not active any more.
fn disable(
    tx: &mut Tx<'_>,
    redeem_code_id: &str,
    city_id: Option<&str>,
    noted: &Noted,
    now: Timestamp,
) -> Result<(RedeemCode, RedeemCode)> {
    let before = store::find(tx, redeem_code_id)?
        .filter(|code| city_id.is_none_or(|city_id| city_id == code.city_id))
        .ok_or_else(|| {
            Error::new(ErrorCode::NotFound, format!("redeem_code not found: {redeem_code_id}"))
        })?;
    if before.status != CodeStatus::Active {
        return Err(not_active(before.status));
    }
    let mut after = before.clone();
    if let Some(note) = &noted.note {
        after.note.clone_from(note);
    }
    if let Some(reference) = &noted.reference {
        after.reference.clone_from(reference);
    }
    after.metadata = merged(&before.metadata, &noted.meta)?;
    after.updated_at = now.millis();
    let after = store::disable(tx, &after)?
        .ok_or_else(|| Error::new(ErrorCode::Conflict, "redeem_code is no longer active"))?;
    Ok((before.into_record(), after.into_record()))
}

/// A 409 for a code that cannot be redeemed: one that is active all the same has expired.
fn not_active(status: CodeStatus) -> Error {
    let why = match status {
        CodeStatus::Active => "redeem_code is expired".to_owned(),
        status => format!("redeem_code is already {}", status.as_str()),
    };
    Error::new(ErrorCode::Conflict, why)
}

/// A 404 that does not say whether there is such a code for others.
fn unknown_code() -> Error {
    Error::new(ErrorCode::NotFound, "redeem_code not found")
}
