//! Workers.

use std::sync::Arc;

use crate::Runtime;

/// Starts the workers of this node.
pub(crate) fn start_workers(_runtime: &Arc<Runtime>) {}
