//! What calls cost, over the real wallets and facts, through HTTP, on both engines.

#[cfg(test)]
#[macro_use]
mod common;

#[cfg(test)]
mod audio;
#[cfg(test)]
mod claude;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod holds;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod prices;
#[cfg(test)]
mod protocols;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod trusted;
