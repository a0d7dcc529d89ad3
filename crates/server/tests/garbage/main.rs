//! Every action of the registry meets generated garbage: the answer is never a 5xx, never a panic,
//! and every error has the documented shape.
//!
//! Inputs are made from each action's own schema, good ones and ones with slips, beside values that
//! know nothing of it. 40 inputs of each action for each caller, 2,000 with `DOWNCITY_LONG_TESTS=1`.

#[cfg(test)]
mod actions;
#[cfg(test)]
mod input;
#[cfg(test)]
mod paths;
