//! Whether the time of a refusal tells how much of a secret was guessed right.

#[cfg(test)]
mod statistics;
#[cfg(test)]
mod timing;
