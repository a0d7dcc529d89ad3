//! What operators do with accounts: `users/disable`, `users/enable`, `users/remove`,
//! `users/sessions/revoke`.

use std::sync::Arc;

use downcity_core::audit::{Target, Trail};
use downcity_core::{ADMIN, Cx, Error, Result, ServiceDef};
use downcity_db::{Tx, sql};
use downcity_types::{ErrorCode, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::records::{DONE, Done};
use super::service::Accounts;
use super::session;
use super::store::users::{self, User};

/// What the audit trail calls an account.
const TARGET: &str = "user";

#[derive(Deserialize, JsonSchema)]
pub(super) struct UserIn {
    /// The user.
    user_id: String,
}

/// Whether a user may sign in.
#[derive(Serialize, JsonSchema)]
pub(super) struct UserStatus {
    /// The user.
    user_id: String,
    /// `active` or `disabled`.
    status: &'static str,
}

/// What was ended.
#[derive(Serialize, JsonSchema)]
pub(super) struct Ended {
    /// Always `true`.
    success: bool,
    /// How many sessions were open.
    sessions: usize,
}

/// Declares the actions.
pub(super) fn define(accounts: &Arc<Accounts>, service: &mut ServiceDef) {
    service
        .post("users/disable", ADMIN, accounts, Accounts::disable_user)
        .summary("Disable a user: all sessions end, and nobody signs in to the account.");
    service
        .post("users/enable", ADMIN, accounts, Accounts::enable_user)
        .summary("Let a disabled user sign in again.");
    service
        .post("users/remove", ADMIN, accounts, Accounts::remove_user)
        .summary("Remove an account with its ways to sign in, and end its sessions.")
        .description(
            "What other services keep of the user stays, such as the ledger. The address may be \
             registered again, by an account with another id.",
        );
    service
        .post("users/sessions/revoke", ADMIN, accounts, Accounts::revoke_sessions)
        .summary("End all sessions of a user; the user may sign in again.");
}

impl Accounts {
    pub(super) async fn disable_user(self: Arc<Self>, cx: Cx, input: UserIn) -> Result<UserStatus> {
        let now = cx.runtime().clock().now();
        cx.change(move |tx, trail| {
            let user = get(tx, &input.user_id)?;
            if user.disabled {
                trail.unchanged();
            } else {
                set_status(tx, &user.user_id, "disabled", now)?;
                let ended = session::end_all(tx, &user.user_id, None, now)?;
                let after = json!({"status": "disabled", "ended_sessions": ended});
                trail.record(target(&user), json!({"status": "active"}), after);
            }
            Ok(UserStatus { user_id: user.user_id, status: "disabled" })
        })
        .await
    }

    pub(super) async fn enable_user(self: Arc<Self>, cx: Cx, input: UserIn) -> Result<UserStatus> {
        let now = cx.runtime().clock().now();
        cx.write(move |tx, trail| {
            let user = get(tx, &input.user_id)?;
            if user.disabled {
                set_status(tx, &user.user_id, "active", now)?;
                let (before, after) = (json!({"status": "disabled"}), json!({"status": "active"}));
                trail.record(target(&user), before, after);
            } else {
                trail.unchanged();
            }
            Ok(UserStatus { user_id: user.user_id, status: "active" })
        })
        .await
    }

    pub(super) async fn remove_user(self: Arc<Self>, cx: Cx, input: UserIn) -> Result<Done> {
        let now = cx.runtime().clock().now();
        cx.change(move |tx, trail| {
            let user = get(tx, &input.user_id)?;
            let ended = session::end_all(tx, &user.user_id, None, now)?;
            users::delete(tx, &user)?;
            let status = if user.disabled { "disabled" } else { "active" };
            let before = json!({"status": status, "ended_sessions": ended});
            trail.record(target(&user), before, ());
            Ok(DONE)
        })
        .await
    }

    pub(super) async fn revoke_sessions(self: Arc<Self>, cx: Cx, input: UserIn) -> Result<Ended> {
        let now = cx.runtime().clock().now();
        cx.change(move |tx, trail: &mut Trail| {
            let user = get(tx, &input.user_id)?;
            let sessions = session::end_all(tx, &user.user_id, None, now)?;
            trail.record(target(&user), (), json!({"ended_sessions": sessions}));
            Ok(Ended { success: true, sessions })
        })
        .await
    }
}

fn target(user: &User) -> Target {
    Target::new(TARGET, &user.user_id)
}

/// The account of this id, held until the end of the transaction.
fn get(tx: &mut Tx<'_>, user_id: &str) -> Result<User> {
    let known = (!user_id.contains('\0')).then(|| users::lock(tx, user_id)).transpose()?.flatten();
    known.ok_or_else(|| Error::new(ErrorCode::NotFound, "There is no such user."))
}

fn set_status(tx: &mut Tx<'_>, user_id: &str, status: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        sql!("UPDATE accounts_users SET status = $2, updated_at = $3 WHERE user_id = $1"),
        &[&user_id, &status, &now.millis()],
    )?;
    Ok(())
}
