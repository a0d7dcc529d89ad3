//! Service keys: their life, what is kept of them, and what they reach.

#[cfg(test)]
mod amounts;
#[cfg(test)]
mod common;
#[cfg(test)]
mod create;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod scope;
#[cfg(test)]
mod secrecy;
