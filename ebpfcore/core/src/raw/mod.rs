//! The only place with `unsafe` code: memory that programs reach by address.
//!
//! What lies here and why: reference counting with fallible allocation ([`shared`]), zeroed blocks
//! whose bytes programs and the runtime share (`block`), the lock-free hash table (`table`), map
//! operations by address (`map_ops`), the functions that programs call by address ([`helpers`]),
//! a waiting lock ([`locked`]), rows of tables that stay ([`forever`]), calls that extensions make
//! ([`outlet`]), values that are replaced while they are read ([`published`]),
//! the interpreter's loop and its memories, invocation ([`context`]), calls into native code
//! ([`native`]), calls of the programs of a hook ([`hook`]), test runs (`trial`). Everything else in
//! the crate is safe code.

mod addresses;
pub(crate) mod block;
pub mod checked;
pub mod context;
mod execute;
pub mod forever;
pub mod helpers;
pub mod hook;
pub mod locked;
pub(crate) mod map_ops;
pub mod native;
pub mod outlet;
pub mod published;
pub mod shared;
pub(crate) mod table;
pub(crate) mod trial;

pub use addresses::{read_bytes, write_bytes};
pub use execute::{Machine, RawMemory, Start};
