//! Clients of earlier generations: their routes, the names of their fields, and what they are told,
//! against a whole Federation on both engines.

#[cfg(test)]
mod families;
#[cfg(test)]
mod fields;
#[cfg(test)]
mod products;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod world;
