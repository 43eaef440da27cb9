//! What a program may know of the kernel's types: where the fields of a structure lie.
//!
//! Programs of some Linux types get pointers to kernel objects and follow them. Which fields there are
//! is written in the kernel's BTF; the verifier asks for single fields through [`KernelTypes`], so
//! nothing of the tens of thousands of types is copied, and it needs no BTF of its own.

use core::fmt;

/// A type of the kernel: its id in the BTF that the object was loaded with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KernelType(pub u32);

/// What lies at a place of a kernel object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelField {
    /// A number.
    Number,
    /// A pointer that leads to no structure: a number that is an address.
    Address,
    /// A pointer to a structure.
    Pointer(KernelType),
}

/// The types of the kernel that an object is made for.
pub trait KernelTypes: fmt::Debug + Send + Sync {
    /// The structure of a name, among those that helpers return.
    fn named(&self, name: &str) -> Option<KernelType>;

    /// What `size` bytes at `offset` of an object hold; `None` where they are no part of one field.
    fn field(&self, ty: KernelType, offset: u32, size: u32) -> Option<KernelField>;

    /// Is there a structure of this name at `offset` of an object?
    fn contains(&self, ty: KernelType, offset: u32, name: &str) -> bool;

    /// Is it a structure or union of a known size?
    fn is_structure(&self, ty: KernelType) -> bool;

    /// The name of a type, for people.
    fn name(&self, ty: KernelType) -> &str;
}

/// An argument of a program that is called like a function of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Argument {
    /// A number, or a pointer that leads to no structure.
    Number,
    /// A pointer to a kernel object.
    Object {
        /// Its type.
        ty: KernelType,
        /// The kernel guarantees that it is there and stays there while the program runs.
        trusted: bool,
        /// It may be NULL, which must be asked first.
        nullable: bool,
    },
}
