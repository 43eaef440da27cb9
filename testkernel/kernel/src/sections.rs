//! Section objects: who refers to them, handles to them, where their memory is mapped, locked pages.
//!
//! Invariants: memory is given back with the last reference; handles, views and locked lists each
//! have one. The page numbers of a list name a section and a page of it, so that a list can be put together from
//! others. What is left out: sections of files, names, quotas.

use crate::process::SYSTEM;
use crate::report::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Objects have addresses that nothing lies at.
const FIRST_OBJECT: u64 = 0xffff_c180_0000_0000;
const OBJECT_STEP: u64 = 0x100;
/// Handles of the kernel and of processes.
const KERNEL_HANDLES: u64 = 0xffff_ffff_8c00_0000;
const USER_HANDLES: u64 = 0x5ec0_0000;
const HANDLE_STEP: u64 = 4;
/// Bits of a page number that count pages of one section.
const PAGE_BITS: u32 = 20;
/// `SECTION_MAP_WRITE`, `SECTION_MAP_READ`.
const MAP_WRITE: u32 = 2;
const MAP_READ: u32 = 4;

/// What a process may do with a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

impl Access {
    /// What the rights of a handle allow.
    #[must_use]
    pub fn of_rights(rights: u32) -> Option<Access> {
        match rights & (MAP_READ | MAP_WRITE) {
            MAP_READ => Some(Access::Read),
            0 | MAP_WRITE => None,
            _ => Some(Access::Write),
        }
    }
}

/// Some pages of the memory of a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// What lies underneath.
    pub memory: u64,
    /// Offset of the first byte.
    pub offset: u64,
    /// Bytes.
    pub len_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Section {
    memory: u64,
    len_bytes: u64,
    references: u32,
}

#[derive(Clone, Copy, Debug)]
struct Handle {
    process: u64,
    object: u64,
    rights: u32,
}

#[derive(Clone, Copy, Debug)]
struct View {
    process: u64,
    object: u64,
    len_bytes: u64,
}

#[derive(Debug)]
struct Mapped {
    address: u64,
    len_bytes: u64,
    objects: Vec<u64>,
}

#[derive(Debug, Default)]
struct State {
    made: u64,
    handles_made: u64,
    objects: BTreeMap<u64, Section>,
    handles: BTreeMap<u64, Handle>,
    views: BTreeMap<u64, View>,
    /// The section whose pages a list has locked.
    locked: BTreeMap<u64, u64>,
    /// Where a list is mapped.
    mapped: BTreeMap<u64, Mapped>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Sections(Mutex<State>);

impl Section {
    fn whole(&self) -> Run {
        Run {
            memory: self.memory,
            offset: 0,
            len_bytes: self.len_bytes,
        }
    }
}

impl State {
    fn refer(&mut self, object: u64) -> Option<Section> {
        let section = self.objects.get_mut(&object)?;
        section.references += 1;
        Some(*section)
    }

    /// Gives a reference up; the memory, when it was the last.
    fn release(&mut self, object: u64) -> Option<u64> {
        let section = self.objects.get_mut(&object)?;
        section.references = section.references.saturating_sub(1);
        if section.references != 0 {
            return None;
        }
        self.objects.remove(&object).map(|section| section.memory)
    }

    fn open(&mut self, handle: Handle) -> u64 {
        self.handles_made += 1;
        let first = match handle.process {
            SYSTEM => KERNEL_HANDLES,
            _ => USER_HANDLES,
        };
        let number = first + self.handles_made * HANDLE_STEP;
        self.handles.insert(number, handle);
        number
    }
}

impl Sections {
    /// Makes a section over memory; gives the kernel's handle to it.
    pub fn create(&self, memory: u64, len_bytes: u64, rights: u32) -> u64 {
        let mut state = lock(&self.0);
        state.made += 1;
        let object = FIRST_OBJECT + state.made * OBJECT_STEP;
        let section = Section {
            memory,
            len_bytes,
            references: 1,
        };
        state.objects.insert(object, section);
        state.open(Handle {
            process: SYSTEM,
            object,
            rights,
        })
    }

    /// Makes a handle of a process; none when the object is no section.
    pub fn open(&self, object: u64, process: u64, rights: u32) -> Option<u64> {
        let mut state = lock(&self.0);
        state.refer(object)?;
        Some(state.open(Handle {
            process,
            object,
            rights,
        }))
    }

    /// All of a section; none when the object is none.
    #[must_use]
    pub fn whole(&self, object: u64) -> Option<Run> {
        let state = lock(&self.0);
        state.objects.get(&object).map(Section::whole)
    }

    /// Refers to the section of a handle of the kernel.
    pub fn reference(&self, handle: u64) -> Option<u64> {
        let mut state = lock(&self.0);
        let handle = *state.handles.get(&handle)?;
        state.refer(handle.object)?;
        Some(handle.object)
    }

    /// Gives a reference up: none when the object is no section, else memory to give back, if any.
    pub fn release(&self, object: u64) -> Option<Option<u64>> {
        let mut state = lock(&self.0);
        let is_known = state.objects.contains_key(&object);
        is_known.then(|| state.release(object))
    }

    /// Closes a handle of the kernel or of a process; the result as of [`Sections::release`].
    pub fn close(&self, handle: u64, process: u64) -> Option<Option<u64>> {
        let mut state = lock(&self.0);
        let found = *state.handles.get(&handle)?;
        if ![SYSTEM, process].contains(&found.process) {
            return None;
        }
        state.handles.remove(&handle);
        Some(state.release(found.object))
    }

    /// The section of a handle of a process, and what it allows.
    #[must_use]
    pub fn handle(&self, handle: u64, process: u64) -> Option<(u64, Option<Access>)> {
        let state = lock(&self.0);
        let found = state.handles.get(&handle);
        let own = found.filter(|found| found.process == process)?;
        Some((own.object, Access::of_rights(own.rights)))
    }

    /// Refers to a section to map it; gives all of its memory.
    pub fn begin_view(&self, object: u64) -> Option<Run> {
        lock(&self.0).refer(object).map(|section| section.whole())
    }

    /// Notes where it was mapped.
    pub fn add_view(&self, address: u64, process: u64, (object, len_bytes): (u64, u64)) {
        let view = View {
            process,
            object,
            len_bytes,
        };
        lock(&self.0).views.insert(address, view);
    }

    /// Takes the view of a process out; its bytes, and memory to give back afterwards.
    pub fn remove_view(&self, address: u64, process: u64) -> Option<(u64, Option<u64>)> {
        let mut state = lock(&self.0);
        let view = *state.views.get(&address)?;
        if view.process != process {
            return None;
        }
        state.views.remove(&address);
        Some((view.len_bytes, state.release(view.object)))
    }

    /// Views and handles of a process.
    #[must_use]
    pub fn of_process(&self, process: u64) -> (Vec<u64>, Vec<u64>) {
        let state = lock(&self.0);
        let views = state
            .views
            .iter()
            .filter(|(_, view)| view.process == process);
        let handles = state
            .handles
            .iter()
            .filter(|(_, handle)| handle.process == process);
        (
            views.map(|(address, _)| *address).collect(),
            handles.map(|(handle, _)| *handle).collect(),
        )
    }

    /// Locks pages that the kernel sees; their numbers. None when they are not in a view, or the list
    /// has locked some already.
    pub fn lock_pages(&self, list: u64, (address, len_bytes): (u64, u64)) -> Option<Vec<u64>> {
        let mut state = lock(&self.0);
        let (start, view) = state.views.range(..=address).next_back()?;
        let offset = address - start;
        let is_inside = view.process == SYSTEM && offset + len_bytes <= view.len_bytes;
        let object = view.object;
        if !is_inside || state.locked.contains_key(&list) {
            return None;
        }
        state.refer(object)?;
        state.locked.insert(list, object);
        let section = (object - FIRST_OBJECT) / OBJECT_STEP;
        let pages = offset / PAGE..(offset + len_bytes).div_ceil(PAGE);
        Some(pages.map(|page| section << PAGE_BITS | page).collect())
    }

    /// Unlocks them. Fails when none are locked or some are still mapped; otherwise the result is as
    /// of [`Sections::release`].
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn unlock_pages(&self, list: u64) -> Result<Option<u64>, &'static str> {
        let mut state = lock(&self.0);
        let object = *state.locked.get(&list).ok_or("locks nothing")?;
        let is_shown = |mapped: &Mapped| mapped.objects.contains(&object);
        if state.mapped.values().any(is_shown) {
            return Err("locks pages that are mapped");
        }
        state.locked.remove(&list);
        Ok(state.release(object))
    }

    /// The memory that locked pages are, by their numbers, pages that follow each other together; and
    /// the sections. None when a number names no locked page.
    #[must_use]
    pub fn runs(&self, pages: &[u64]) -> Option<(Vec<Run>, Vec<u64>)> {
        let state = lock(&self.0);
        let (mut runs, mut objects) = (Vec::<Run>::new(), Vec::new());
        for page in pages {
            let object = FIRST_OBJECT + (page >> PAGE_BITS) * OBJECT_STEP;
            let offset = (page & ((1 << PAGE_BITS) - 1)) * PAGE;
            let section = state.objects.get(&object)?;
            let is_locked = state.locked.values().any(|locked| *locked == object);
            if !is_locked || offset >= section.len_bytes {
                return None;
            }
            let follows = |run: &&mut Run| {
                run.memory == section.memory && run.offset + run.len_bytes == offset
            };
            match runs.last_mut().filter(follows) {
                Some(run) => run.len_bytes += PAGE,
                None => runs.push(Run {
                    memory: section.memory,
                    offset,
                    len_bytes: PAGE,
                }),
            }
            if objects.last() != Some(&object) {
                objects.push(object);
            }
        }
        Some((runs, objects))
    }

    /// Notes where a list is mapped.
    pub fn add_mapped(&self, list: u64, (address, len_bytes): (u64, u64), objects: Vec<u64>) {
        let mapped = Mapped {
            address,
            len_bytes,
            objects,
        };
        lock(&self.0).mapped.insert(list, mapped);
    }

    /// Takes that out; its bytes, or none when the list is not mapped there.
    pub fn remove_mapped(&self, list: u64, address: u64) -> Option<u64> {
        let mapped = &mut lock(&self.0).mapped;
        let found = mapped.get(&list).filter(|found| found.address == address);
        let len_bytes = found?.len_bytes;
        mapped.remove(&list);
        Some(len_bytes)
    }

    /// Whether a list locks pages or is mapped.
    #[must_use]
    pub fn uses_list(&self, list: u64) -> bool {
        let state = lock(&self.0);
        state.locked.contains_key(&list) || state.mapped.contains_key(&list)
    }

    /// What is left behind, in words.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let state = lock(&self.0);
        [
            ("sections", state.objects.len()),
            ("lists of locked pages", state.locked.len()),
            ("lists of mapped pages", state.mapped.len()),
        ]
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect()
    }
}
