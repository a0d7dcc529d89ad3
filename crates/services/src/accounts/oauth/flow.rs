//! What a flow is.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::Random;
use downcity_core::token::digest;
use downcity_types::Timestamp;

use super::provider::Provider;

/// How long a flow lives from its start, its result included.
pub(super) const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long a result may be asked for again after its delivery.
pub(super) const REPEATED: Duration = Duration::from_secs(60);

/// Letters and digits that are not taken for each other.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// How far a flow has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The starter has the provider's address.
    Started,
    /// The provider sent somebody back; their code is being looked at.
    Called,
    /// They are asked whether they want to sign in.
    Asked,
    /// They have signed in; the result waits for the starter.
    Done,
    /// The starter has the result.
    Delivered,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Started, Self::Called, Self::Asked, Self::Done, Self::Delivered];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Called => "called",
            Self::Asked => "asked",
            Self::Done => "done",
            Self::Delivered => "delivered",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}

/// A sign-in with a provider that is under way.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) flow_id: String,
    pub(super) stage: Stage,
    pub(super) provider: Provider,
    pub(super) city_id: String,
    /// What starter and page show, for people to compare.
    pub(super) user_code: String,
    /// The callback's address, as the provider was told it.
    pub(super) redirect_uri: String,
    /// Where the browser goes at the end, in place of a page of ours.
    pub(super) return_url: Option<String>,
    pub(super) nonce: String,
    /// Where the starter called from.
    pub(super) address: Option<String>,
    /// The user to whom the provider's account is to be linked.
    pub(super) link_user_id: Option<String>,
    pub(super) person: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) session_id: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// What tables hold of a secret.
pub(super) fn hashed(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(secret.as_bytes()))
}

/// Eight characters that two people can compare, such as `7K3M-WX2P`.
pub(super) fn user_code(random: &dyn Random) -> String {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    let mut code: String =
        bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    code.insert(4, '-');
    code
}
