//! Native modules.
/// placeholder
pub struct Instance {}
