//! Recognisable secrets go in through the API; a search then looks for them wherever they must not be.

#[cfg(test)]
mod planted;
#[cfg(test)]
mod search;
