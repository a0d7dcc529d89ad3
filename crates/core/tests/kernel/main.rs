//! The kernel as services and callers meet it: documents, fixed routes, dispatch and hooks.

#[cfg(test)]
mod build;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod dispatch;
#[cfg(test)]
mod facts;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod start;
#[cfg(test)]
mod system;
#[cfg(test)]
mod views;
