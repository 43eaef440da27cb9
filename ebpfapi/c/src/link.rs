//! Links.

use crate::error::{Fault, done, some};
use crate::exports;
use crate::fd::{self, Item};
use crate::raw::Text;
use client::{Link, Pinned};
use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `struct bpf_link`.
pub(crate) struct BpfLink {
    link: Link,
    fd: c_int,
    /// Where it was pinned or opened.
    path: Mutex<Option<String>>,
}

impl BpfLink {
    pub(crate) fn of(link: Link) -> Result<Box<BpfLink>, Fault> {
        let fd = fd::insert(Item::Link(link.clone()))?;
        let path = Mutex::default();
        Ok(Box::new(BpfLink { link, fd, path }))
    }

    fn path(&self) -> MutexGuard<'_, Option<String>> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pin(&self, path: &str) -> Result<(), Fault> {
        let mut pinned = self.path();
        if pinned.is_some() {
            return Err(Fault::BUSY);
        }
        self.link.pin(path)?;
        *pinned = Some(path.to_owned());
        Ok(())
    }

    fn unpin(&self) -> Result<(), Fault> {
        let mut pinned = self.path();
        let path = pinned.as_deref().ok_or(Fault::MISSING)?;
        fd::client()?.unpin(path)?;
        *pinned = None;
        Ok(())
    }
}

impl Drop for BpfLink {
    fn drop(&mut self) {
        // The program may have closed it.
        let _ = fd::close(self.fd);
    }
}

fn open(path: Text) -> Result<Box<BpfLink>, Fault> {
    let path = path.get()?;
    let Pinned::Link(link) = fd::client()?.pinned(path)? else {
        return Err(Fault::INVALID);
    };
    let link = BpfLink::of(link)?;
    *link.path() = Some(path.to_owned());
    Ok(link)
}

exports! {
    /// Gives a link up; its program is detached unless the link is pinned or was disconnected.
    fn bpf_link__destroy(link: Option<Box<BpfLink>>) -> c_int {
        drop(link);
        0
    }

    /// Lets the program stay attached when the link is destroyed.
    fn bpf_link__disconnect(link: Option<&BpfLink>) {
        if let Some(link) = link {
            // A link that was detached has nothing to keep.
            let _ = link.link.keep();
        }
    }

    /// The descriptor of a link. It belongs to the link.
    fn bpf_link__fd(link: Option<&BpfLink>) -> c_int {
        link.map_or_else(|| Fault::INVALID.tell(), |link| link.fd)
    }

    /// Detaches the program now.
    fn bpf_link__detach(link: Option<&BpfLink>) -> c_int {
        done(link.ok_or(Fault::INVALID).and_then(|link| Ok(link.link.detach()?)))
    }

    /// Pins a link: its program stays attached without the process.
    fn bpf_link__pin(link: Option<&BpfLink>, path: Text) -> c_int {
        done(link.ok_or(Fault::INVALID).and_then(|link| link.pin(path.get()?)))
    }

    /// Takes the pin of a link away that it was given or opened by.
    fn bpf_link__unpin(link: Option<&BpfLink>) -> c_int {
        done(link.ok_or(Fault::INVALID).and_then(BpfLink::unpin))
    }

    /// Opens a pinned link.
    fn bpf_link__open(path: Text) -> Option<Box<BpfLink>> {
        some(open(path))
    }

    /// Detaches the program of a link.
    fn bpf_link_detach(fd: c_int) -> c_int {
        done(fd::link(fd).and_then(|link| Ok(link.detach()?)))
    }
}
