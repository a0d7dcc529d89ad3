//! UI messages, the chunks of their streams, and token usage.

mod chunk;
mod message;
mod usage;

pub use chunk::{DataChunk, FinishReason, ProviderMetadata, ToolOptions, UiChunk};
pub use message::{
    DataPart, FilePart, ReasoningPart, SourceDocumentPart, SourceUrlPart, TextPart, ToolPart,
    ToolState, UiMessage, UiPart, UiRole,
};
pub use usage::{InputTokenDetails, OutputTokenDetails, TokenCounts, Usage};
