//! Top-ups and redeem codes over HTTP, on both engines.

#[cfg(test)]
mod codes;
#[cfg(test)]
mod common;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod guesses;
#[cfg(test)]
mod parallel;
#[cfg(test)]
mod pinned;
#[cfg(test)]
mod topups;
