//! `fed` in a real terminal: what it asks, shows and leaves behind.

#[cfg(test)]
mod chat;
#[cfg(test)]
mod colors;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod screen;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod workspace;
#[cfg(test)]
#[path = "../support/world.rs"]
#[expect(dead_code, reason = "commands without a terminal need more of it")]
mod world;
