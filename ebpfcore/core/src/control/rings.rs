//! Operations on ring buffers and perf event arrays: waiting for records, handles to map them by,
//! writing records.

use super::{Control, Section, Session, objects::Object};
use crate::{Status, pin::ObjectKind};
use abi::ioctl::{Handle, Reply};

/// Bytes of the answer to a query.
const QUERY_BYTES: usize = 32;
/// Bytes of the answer with a handle to a part of a ring.
const SECTION_BYTES: usize = 24;
/// Low half of the flags of a record for a perf event array: the processor that asks.
const CURRENT_CPU: u32 = u32::MAX;

impl Control {
    /// Gives up a request that was pended: true when it was waiting, and the shell completes it
    /// now; false when it was or is being completed. IRQL: PASSIVE.
    #[must_use]
    pub fn cancel(&self, ticket: u64) -> bool {
        let mut after = 0;
        while let Ok(id) = self.next_id(after, ObjectKind::Map) {
            after = id;
            let map = match self.lock().get(id).map(|entry| &entry.object) {
                Ok(Object::Map(map)) => map.clone(),
                _ => continue,
            };
            if map.rings().iter().any(|ring| ring.waiters.take(ticket)) {
                return true;
            }
        }
        false
    }
}

impl Session<'_> {
    /// Takes what the consumer has read, and answers once there is more.
    pub(super) fn query_ring(
        self,
        handle: Handle,
        index: u32,
        consumed: u64,
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let ring = map.ring(u64::from(index))?;
        let platform = self.control.core.platform();
        self.check_room(QUERY_BYTES)?;
        ring.consume_to(platform, consumed)?;
        if ring.is_ready() {
            return self.reply(&ring.positions().reply());
        }
        let ticket = self.client.pend().ok_or(Status::OperationNotSupported)?;
        if let Err(status) = ring.waiters.add(ticket) {
            platform.complete(ticket, Err(status));
            return Err(Status::Pending);
        }
        // What happened before it was registered told nobody.
        if self.client.is_cancelled() && ring.waiters.take(ticket) {
            platform.complete(ticket, Err(Status::Canceled));
        }
        // An event that is told is not given up meanwhile.
        let _pinned = self.control.core.pin();
        ring.wake(platform);
        Err(Status::Pending)
    }

    /// Sets an event whenever there are records; an invalid handle takes it away.
    pub(super) fn set_wait_handle(
        self,
        handle: Handle,
        event: Handle,
        (index, flags): (u64, u64),
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let ring = map.ring(index)?;
        if flags != 0 {
            return Err(Status::InvalidArgument);
        }
        let core = &self.control.core;
        let event = match event {
            Handle::INVALID => 0,
            event => self.control.shell.event(event)?,
        };
        ring.waiters.set_event(core, event);
        let pinned = core.pin();
        ring.wake(core.platform());
        drop(pinned);
        self.done()
    }

    /// Writes a record from user mode.
    pub(super) fn write_record(
        self,
        handle: Handle,
        flags: u64,
        data: &[u8],
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let core = &self.control.core;
        let platform = core.platform();
        let is_array = map.rings().len() > 1 || map.definition().kind == PERF;
        let index = match flags {
            0 if !is_array => 0,
            flags if is_array && flags >> 32 == 0 => match flags as u32 {
                CURRENT_CPU => platform.current_cpu(),
                cpu => cpu,
            },
            _ => return Err(Status::InvalidArgument),
        };
        map.put_record(u64::from(index), data)?;
        self.done()
    }

    /// Where the consumer is. Nothing is mapped for the caller, so there is no address to tell: it maps
    /// the records itself ([`Session::map_buffer`]).
    pub(super) fn query_buffer(self, handle: Handle, index: u32) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let consumer_offset = map.ring(u64::from(index))?.positions().consumer;
        self.reply(&Reply::MapQueryBuffer {
            buffer_address: 0,
            consumer_offset,
        })
    }

    /// Gives the caller a handle to a part of a ring. Each request makes one.
    pub(super) fn map_buffer(
        self,
        handle: Handle,
        index: u64,
        section: u32,
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let section = match section {
            0 => Section::Consumer,
            1 => Section::Producer,
            2 => Section::Data,
            _ => return Err(Status::InvalidArgument),
        };
        let pages = map.ring(index)?.pages(section);
        // A handle that the caller does not hear of would stay open until it ends.
        self.check_room(SECTION_BYTES)?;
        let section_handle = self.client.share(pages)?;
        self.reply(&Reply::RingBufferMapMapBuffer {
            section_handle,
            view_size: pages.bytes,
        })
    }

    /// Nothing to do: what the caller has mapped it unmaps itself.
    pub(super) fn unmap_buffer(self, handle: Handle, index: u64) -> Result<usize, Status> {
        self.map(handle)?.ring(index)?;
        self.done()
    }
}

/// Maps with a ring for each processor.
const PERF: abi::MapKind = abi::MapKind::PerfEventArray;
