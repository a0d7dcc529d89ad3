//! Between UI messages and the chat completions of OpenAI.

pub(crate) mod answer;
pub(crate) mod file;
pub(crate) mod messages;
pub(crate) mod normalize;
pub(crate) mod request;
pub(crate) mod vectors;

#[cfg(test)]
mod tests;
