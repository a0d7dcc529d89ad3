//! Images and videos: work that takes longer than a call.
//!
//! An order becomes a row of `ai_jobs`, with what is held for it, before any upstream is asked. A
//! durable job then takes one step after the other: the first asks the model's upstreams, further ones
//! ask the one that took the work on how far it is. The end of the work, what it costs and the fact of
//! the call are stored in one transaction, which happens once.

mod advance;
mod answer;
mod end;
mod forget;
mod input;
mod job;
mod keep;
mod order;
mod store;
mod wait;

pub(crate) use answer::{Made, MediaAnswer, Outcome, Reading};
pub(crate) use forget::sweep_regularly;
pub use input::{MediaContent, MediaInput, MediaMessage};
pub use job::{JobIn, MediaJobView};
pub(crate) use job::{Produce, StoredResult};
pub(crate) use order::{MediaAsk, Order, Piece, StateAsk, has_own_field, unsupported};
pub use store::MediaStatus;
