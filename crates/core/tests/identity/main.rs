//! Cities, tokens and who a caller is, through the HTTP surface on both engines.

#[cfg(test)]
mod access;
#[cfg(test)]
mod apply;
#[cfg(test)]
mod cities;
#[cfg(test)]
mod forgeries;
#[cfg(test)]
mod jwt;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod revoke;
#[cfg(test)]
mod rotate;
#[cfg(test)]
mod verify;
