//! Cities, tokens and who a caller is, through the HTTP surface on both engines.

mod access;
mod apply;
mod cities;
mod probe;
mod revoke;
