//! Which upstream of a model is asked, with which key, and what is kept of each attempt.
//!
//! A lane is one upstream of a model with one API key. Lanes are asked in the order of the
//! configuration; those whose key rests, because its provider refused or limited it, are left out
//! while there are others.

mod attempts;
mod cooling;
mod told;

use downcity_core::Call;
use downcity_core::env::EnvOf;

pub(crate) use attempts::Attempts;
pub(crate) use cooling::Cooling;
pub(crate) use told::Told;

use crate::catalog::{Access, Model};
use crate::mask::Mask;
use crate::outgoing::Outgoing;
use crate::provider::{Asked, Protocol};

/// One upstream of a model, one of its keys, and the request that goes there.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'a> {
    outgoing: &'a Outgoing,
    access: &'a Access,
}

impl<'a> Lane<'a> {
    /// Every lane of a request, in order; at least one.
    fn all(outgoing: &'a Outgoing) -> impl Iterator<Item = Self> {
        let upstreams = std::iter::once(outgoing).chain(&outgoing.fallbacks);
        upstreams.flat_map(|outgoing| {
            let accesses = &outgoing.model.provider.accesses;
            accesses.iter().map(move |access| Self { outgoing, access })
        })
    }

    /// The lane of a request that is meant.
    pub(crate) fn find(outgoing: &'a Outgoing, is_meant: impl Fn(Self) -> bool) -> Option<Self> {
        Self::all(outgoing).find(|lane| is_meant(*lane))
    }

    /// Whether everything that it needs is set.
    fn is_ready(self, call: &Call) -> bool {
        let has_key = self.access.key.as_deref().is_none_or(|key| call.has_city_env(key));
        // A provider with one key need not name it among what it needs.
        let has_key = has_key || self.model().provider.accesses.len() == 1;
        has_key && self.model().missing_here(call).is_none()
    }

    /// Its upstream's place among those of its request.
    pub(crate) fn place(self, outgoing: &Outgoing) -> usize {
        let mut further = outgoing.fallbacks.iter();
        further.position(|other| std::ptr::eq(other, self.outgoing)).map_or(0, |at| at + 1)
    }

    /// The model at this upstream.
    pub(crate) fn model(self) -> &'a Model {
        &self.outgoing.model
    }

    /// The env key that holds the API key, where there is one.
    pub(crate) fn key(self) -> Option<&'a str> {
        self.access.key.as_deref()
    }

    /// Whose value of the key the call uses; `None` where there is no key, or no value.
    pub(crate) fn key_of(self, call: &Call) -> Option<EnvOf> {
        call.city_env(self.key()?).map(|found| found.of)
    }

    pub(crate) fn protocol(self) -> &'a dyn Protocol {
        &*self.access.protocol
    }

    /// The request, and what is known of it.
    pub(crate) fn outgoing(self) -> &'a Outgoing {
        self.outgoing
    }

    /// The request.
    pub(crate) fn asked(self) -> Asked {
        Asked { task: self.outgoing.task, body: self.outgoing.body.clone() }
    }

    /// Whether the usage of a stream was asked for on our own account.
    pub(crate) fn hides_usage(self) -> bool {
        self.outgoing.hide_usage
    }

    /// Hides its key.
    pub(crate) fn mask(self, call: &Call) -> Mask {
        self.access.protocol.mask(call)
    }
}
