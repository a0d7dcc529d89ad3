//! The kernel as services and callers meet it: documents, fixed routes, dispatch and hooks.

mod build;
mod demo;
mod dispatch;
mod hooks;
mod openapi;
mod system;
mod views;
