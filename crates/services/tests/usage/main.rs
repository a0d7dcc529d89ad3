//! The service `usage` as callers and operators meet it.

#[cfg(test)]
mod common;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod recording;
#[cfg(test)]
mod sums;
