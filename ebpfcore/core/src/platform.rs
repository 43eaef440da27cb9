//! The seam between the portable runtime and its host: a kernel, or a process for tests.
//!
//! Every method states the interrupt request level (IRQL) at which it is called. `any` means at
//! or below DISPATCH_LEVEL: the method must not block, page or allocate.

/// Memory of a ring that can be given to processes ([`Platform::take_ring`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingMemory {
    /// Address of the first byte, at a multiple of a page.
    pub address: u64,
    /// What the host calls it, not 0.
    pub id: u64,
}

/// What the runtime needs from its host.
///
/// Sizes are decided once: [`Platform::cpu_count`] must not change after the first map is made.
pub trait Platform: Sync {
    /// Number of processors; per-CPU values have this many copies. IRQL: any.
    fn cpu_count(&self) -> u32;

    /// The processor that runs the caller, below [`Platform::cpu_count`]. IRQL: any.
    fn current_cpu(&self) -> u32;

    /// Enters a section in which the caller is not preempted, so that spinning on a lock is
    /// bounded: raises to DISPATCH_LEVEL and returns the former level. IRQL: any.
    fn raise_irql(&self) -> u8;

    /// Leaves the section; `level` is what [`Platform::raise_irql`] returned. IRQL: DISPATCH.
    fn lower_irql(&self, level: u8);

    /// Lets other work run while the caller waits for running programs. IRQL: PASSIVE.
    fn relax(&self);

    /// Nanoseconds since boot, time asleep not counted. IRQL: any.
    fn ktime_ns(&self) -> u64;

    /// Nanoseconds since boot, time asleep counted. IRQL: any.
    fn boot_ns(&self) -> u64;

    /// A pseudo-random number; seeds hash tables and serves `bpf_get_prandom_u32`. IRQL: any.
    fn random_u32(&self) -> u32;

    /// Process and thread id of the current thread. IRQL: any.
    fn pid_tid(&self) -> (u32, u32);

    /// Logon id of the current user, 0 where there is none (always at DISPATCH). IRQL: any.
    fn logon_id(&self) -> u64;

    /// Whether the current user is an administrator: 1, 0, or negative when that cannot be told.
    /// IRQL: any.
    fn is_admin(&self) -> i32;

    /// A number that no other process has had since boot. IRQL: any.
    fn process_start_key(&self) -> u64;

    /// Creation time of the current thread in 100 ns units. IRQL: any.
    fn thread_create_time(&self) -> i64;

    /// Sets memory aside for the current thread: until [`Platform::release`] its allocations do not
    /// fail as long as those that would have failed need no more than this together. What they give
    /// may live on. `false` when there is not that much. IRQL: PASSIVE.
    ///
    /// Code that cannot say that memory is short, such as the verifier, runs under this. Hosts whose
    /// allocator ends the process instead of failing have nothing to set aside.
    fn reserve(&self, bytes: usize) -> bool {
        let _ = bytes;
        true
    }

    /// Gives back what is left of [`Platform::reserve`]. IRQL: PASSIVE.
    fn release(&self) {}

    /// Zeroed memory for a ring, one block: a page for the position of the consumer, a page for that of
    /// the producers, and `bytes` of records, whole pages, mapped twice one behind the other. Processes
    /// can be given each of the three ([`crate::control::Client::share`]). `None` on hosts without such
    /// memory: the runtime takes its own, which is not given to processes. IRQL: PASSIVE.
    ///
    /// # Errors
    ///
    /// [`crate::Status::NoMemory`].
    fn take_ring(&self, bytes: u64) -> Result<Option<RingMemory>, crate::Status> {
        let _ = bytes;
        Ok(None)
    }

    /// Gives memory of [`Platform::take_ring`] back; what processes have mapped of it stays theirs.
    /// IRQL: any.
    fn give_ring(&self, id: u64) {
        let _ = id;
    }

    /// Receives one line of `bpf_printk` output, without a line end. IRQL: any.
    fn trace(&self, line: &[u8]);

    /// Ends a request that was pended with [`crate::control::Client::pend`]; a reply holds at most
    /// 64 bytes. IRQL: any.
    fn complete(&self, ticket: u64, reply: Result<&[u8], crate::Status>) {
        let _ = (ticket, reply);
    }

    /// Sets an event that [`crate::control::Shell::event`] referenced. IRQL: any.
    fn signal(&self, event: u64) {
        let _ = event;
    }

    /// Gives up the reference to an event. IRQL: PASSIVE.
    fn forget_event(&self, event: u64) {
        let _ = event;
    }
}
