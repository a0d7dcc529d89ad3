//! Images and videos that are made as jobs, through the real dispatcher, against scripted providers.

#[cfg(test)]
#[macro_use]
mod common;
#[cfg(test)]
mod life;
