//! From registering to a receipt: a user of a whole Federation buys credits at each provider and spends them.

#[cfg(test)]
mod buyer;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod sale;
