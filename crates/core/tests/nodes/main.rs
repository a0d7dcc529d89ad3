//! Several nodes on one database: they agree, also when the way to it or their clocks go wrong.

#[cfg(test)]
mod agree;
#[cfg(test)]
mod alone;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod common;
#[cfg(test)]
mod starts;
