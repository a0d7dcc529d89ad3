//! The service through the real dispatcher, against a scripted provider on loopback.

#[cfg(test)]
mod anthropic;
#[cfg(test)]
mod audio;
#[cfg(test)]
mod audio_routing;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod chat_failures;
#[cfg(test)]
mod city_keys;
#[cfg(test)]
mod common;
#[cfg(test)]
mod config;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod gemini;
#[cfg(test)]
mod health;
#[cfg(test)]
mod masking;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod metering;
#[cfg(test)]
mod models;
#[cfg(test)]
mod openai_surface;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod resolve;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod starter;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod text;
#[cfg(test)]
mod usage;
