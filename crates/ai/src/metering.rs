//! What a call consumed, written into the call for hooks and statistics.

use std::time::Duration;

use downcity_core::{Cx, Metering};
use downcity_types::TokenCounts;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::catalog::Model;
use crate::config::Mode;

/// Keeps account of one call until its answer has ended, or its client has left.
///
/// Usage and times are final when the meter is closed; dropping it closes it.
pub(crate) struct Meter {
    cx: Cx,
    usage: Option<Value>,
    has_begun: bool,
    is_closed: bool,
    /// The call's place among those under way, given back with the meter.
    _slot: Option<OwnedSemaphorePermit>,
}

impl Meter {
    /// Notes who answers.
    pub(crate) fn begin(
        cx: &Cx,
        model: &Model,
        mode: Mode,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Self {
        cx.meter(|metering| {
            metering.provider_id = Some(model.provider.id.clone());
            metering.model_id = Some(model.id.clone());
            metering.upstream_model = Some(model.upstream_model.clone());
            metering.request_count = Some(1);
            metering.metadata.insert("mode".to_owned(), Value::from(mode.as_str()));
        });
        Self { cx: cx.clone(), usage: None, has_begun: false, is_closed: false, _slot: slot }
    }

    /// The call.
    pub(crate) fn cx(&self) -> &Cx {
        &self.cx
    }

    /// Another request to the provider is made.
    pub(crate) fn retried(&self) {
        self.cx.meter(|metering| {
            metering.request_count = metering.request_count.map(|count| count + 1);
        });
    }

    /// The first byte of the answer is there; later calls say nothing.
    pub(crate) fn first_byte(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let elapsed = millis(self.cx.elapsed());
            self.cx.meter(|metering| metering.first_byte_ms = Some(elapsed));
        }
    }

    /// The provider's usage, of which the last word counts.
    pub(crate) fn usage(&mut self, usage: Option<Value>) {
        if usage.is_some() {
            self.usage = usage;
        }
    }

    /// The answer has ended.
    pub(crate) fn close(&mut self) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        let usage = self.usage.take();
        let elapsed = millis(self.cx.elapsed());
        self.cx.meter(|metering| {
            metering.duration_ms = Some(elapsed);
            if let Some(usage) = usage {
                note_usage(metering, usage);
            }
        });
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.close();
    }
}

fn note_usage(metering: &mut Metering, usage: Value) {
    if let Some(counts) = TokenCounts::from_usage(&usage) {
        metering.input_tokens = Some(counts.input_tokens);
        metering.cached_tokens = Some(counts.cached_tokens);
        metering.output_tokens = Some(counts.output_tokens);
    }
    metering.raw_usage = Some(usage);
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
