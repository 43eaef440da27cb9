//! Contexts of the Linux kernel, as documented for its user-space API.
