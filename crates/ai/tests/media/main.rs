//! Images and videos that are made as jobs, through the real dispatcher, against scripted providers.

#[cfg(test)]
#[macro_use]
mod common;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod files;
#[cfg(test)]
mod life;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod protocols;
#[cfg(test)]
mod times;
#[cfg(test)]
mod waits;
