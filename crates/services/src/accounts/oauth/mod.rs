//! Signing in with GitHub, Google and WeChat.
//!
//! 1. `oauth/start` stores a flow and gives the provider's page, and a handle to ask for the result.
//! 2. The provider sends the person to `oauth/callback`, which asks the provider who they are and,
//!    unless the same machine began the flow, whether they want to sign in (`oauth/confirm`).
//! 3. `oauth/result` opens the session and gives its token, to the holder of the handle alone.
//!
//! # Invariants
//! * The secret in the provider's address and the handle are two: who sees one has not the other.
//! * Each step of a flow is taken once, by a guarded update; the token exists only from its delivery on.
//! * No address that holds a code or a secret is logged.

mod callback;
mod client;
mod exchange;
mod flow;
mod github;
mod google;
mod identities;
mod origin;
mod pages;
mod person;
mod pkce;
mod provider;
mod resolve;
mod result;
mod start;
pub(crate) mod store;
mod wechat;

use std::sync::Arc;

use downcity_core::{PUBLIC, ServiceDef, USER};

pub(crate) use exchange::Http;
pub(super) use person::is_subject;
pub(crate) use provider::Provider;

use super::service::Accounts;

/// Declares the actions and the env keys.
pub(super) fn define(accounts: &Arc<Accounts>, service: &mut ServiceDef) {
    for provider in Provider::ALL {
        for (key, description) in provider.env() {
            service.env(key, description, false);
        }
    }
    service
        .post("oauth/start", PUBLIC, accounts, Accounts::oauth_start)
        .summary("Begin to sign in with a provider: gives the page to open.")
        .description(
            "Open url in a browser and ask oauth/result with state until it is done. Show user_code: \
             the page that asks for confirmation names the same. With link a signed-in user adds the \
             provider to the account.",
        );
    service
        .get("oauth/callback", PUBLIC, accounts, Accounts::oauth_callback)
        .summary("Where providers send people back to; answers with a page.")
        .produces("text/html")
        .detached();
    service
        .post("oauth/confirm", PUBLIC, accounts, Accounts::oauth_confirm)
        .summary("What the page that asks for confirmation sends; answers with a page.")
        .produces("text/html")
        .body_limit(4_096);
    service
        .get("oauth/result", PUBLIC, accounts, Accounts::oauth_result)
        .summary("Ask whether somebody has signed in; gives the user_token once.")
        .description(
            "A result that was given may be asked for again for a minute, in case the answer was lost.",
        )
        .detached();
    service
        .get("identities", USER, accounts, Accounts::identities)
        .summary("List the ways in which the caller can sign in.");
    service
        .post("identities/unlink", USER, accounts, Accounts::unlink)
        .summary("Take a way to sign in away; never the last one.");
}
