//! Calls into native modules.
