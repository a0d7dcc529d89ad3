//! `providers`: how people can sign in here.

use std::sync::Arc;

use downcity_core::{Cx, NoInput, Result};
use downcity_types::Items;
use schemars::JsonSchema;
use serde::Serialize;

use super::oauth::Provider;
use super::service::Accounts;

/// A way to sign in.
#[derive(Serialize, JsonSchema)]
pub(super) struct ProviderRow {
    /// `email`, `github`, `google` or `wechat`.
    id: &'static str,
    /// `password` or `oauth`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Whether it can be used.
    enabled: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// For `email`: whether one can sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    login_enabled: Option<bool>,
    /// For `email`: whether one can register.
    #[serde(skip_serializing_if = "Option::is_none")]
    register_enabled: Option<bool>,
}

impl Accounts {
    pub(super) async fn providers(
        self: Arc<Self>,
        cx: Cx,
        _: NoInput,
    ) -> Result<Items<ProviderRow>> {
        let (login, register) = (self.config.password_login, self.config.registration);
        let email = ProviderRow {
            id: "email",
            kind: "password",
            enabled: login || register,
            reason: None,
            login_enabled: Some(login),
            register_enabled: Some(register),
        };
        let oauth = Provider::ALL.into_iter().map(|provider| {
            let (id, enabled) = (provider.id(), provider.is_configured(&cx));
            let reason = (!enabled).then_some("not_configured");
            let (login_enabled, register_enabled) = (None, None);
            ProviderRow { id, kind: "oauth", enabled, reason, login_enabled, register_enabled }
        });
        Ok(Items::all(std::iter::once(email).chain(oauth).collect()))
    }
}
