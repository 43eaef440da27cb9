//! Objects: opened, loaded, walked through, closed.

use crate::error::{Fault, done, number, some};
use crate::exports;
use crate::fd::{self, Item};
use crate::program::BpfProgram;
use crate::raw::{Input, Text};
use client::{Client, Loaded, Map, Object, OpenOptions};
use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// `struct bpf_object`.
pub(crate) struct BpfObject {
    shared: Arc<Shared>,
    name: CString,
    programs: Vec<BpfProgram>,
    maps: Vec<BpfMap>,
}

/// `struct bpf_map`.
pub(crate) struct BpfMap {
    shared: Arc<Shared>,
    index: usize,
    name: CString,
}

/// `struct bpf_object_open_opts` of libbpf, as far as it has a meaning here.
#[repr(C)]
pub(crate) struct ObjectOpenOpts {
    sz: usize,
    object_name: Text,
}

/// What programs and maps of an object share with it.
pub(crate) struct Shared(Mutex<State>);

/// The state of an object.
pub(crate) struct State {
    pub(crate) object: Object,
    pub(crate) loaded: Option<Loaded>,
    /// Descriptors by index of the object's programs; `None` where one is not loaded.
    pub(crate) program_fds: Vec<Option<c_int>>,
    map_fds: Vec<Option<c_int>>,
    /// The report about the program that was refused when the object was loaded last.
    refused: Option<Refused>,
}

/// Why a program was refused.
struct Refused {
    program: String,
    report: CString,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Loads the object and gives its programs and maps descriptors: all, or none.
    pub(crate) fn load(&mut self, client: &Client) -> Result<(), Fault> {
        if self.loaded.is_some() {
            return Err(Fault::EXISTS);
        }
        self.refused = None;
        let loaded = self.object.load(client);
        let loaded = loaded.inspect_err(|error| self.refused = Refused::by(error))?;
        let program = |at: usize| {
            let name = &self.object.programs()[at].name;
            let mut all = loaded.programs().iter();
            let found = all.find(|program| program.name() == name);
            found.map(|program| Item::Program(program.clone()))
        };
        let programs = (0..self.object.programs().len()).map(program).collect();
        let maps = loaded.maps().map(|(_, map)| Some(Item::Map(map.clone())));
        let maps = insert_all(maps.collect())?;
        match insert_all(programs) {
            Ok(fds) => self.program_fds = fds,
            Err(fault) => {
                close_all(maps);
                return Err(fault);
            }
        }
        self.map_fds = maps;
        self.loaded = Some(loaded);
        Ok(())
    }

    /// The report about a program that was refused.
    pub(crate) fn report(&self, program: &str) -> Option<&CStr> {
        let refused = self.refused.as_ref();
        let refused = refused.filter(|refused| refused.program == program);
        refused.map(|refused| refused.report.as_c_str())
    }

    /// Gives one program up.
    pub(crate) fn unload_program(&mut self, index: usize) {
        let fd = self.program_fds.get_mut(index).and_then(Option::take);
        close_all(vec![fd]);
        if let Some(loaded) = &mut self.loaded {
            loaded.unload(&self.object.programs()[index].name);
        }
    }

    /// Gives up what was loaded.
    fn unload(&mut self) {
        close_all(std::mem::take(&mut self.program_fds));
        close_all(std::mem::take(&mut self.map_fds));
        self.loaded = None;
    }

    /// A loaded map.
    fn map(&self, index: usize) -> Result<&Map, Fault> {
        let loaded = self.loaded.as_ref().ok_or(Fault::INVALID)?;
        let map = loaded.maps().nth(index).map(|(_, map)| map);
        map.ok_or(Fault::INVALID)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.unload();
    }
}

impl Refused {
    fn by(error: &client::Error) -> Option<Refused> {
        let refusal = error.refusal()?;
        let report = refusal.report.replace('\0', " ");
        Some(Refused {
            program: refusal.program.clone(),
            report: CString::new(report).unwrap_or_default(),
        })
    }
}

pub(crate) fn insert_all(items: Vec<Option<Item>>) -> Result<Vec<Option<c_int>>, Fault> {
    let mut fds = Vec::new();
    for item in items {
        match item.map(fd::insert).transpose() {
            Ok(fd) => fds.push(fd),
            Err(fault) => {
                close_all(fds);
                return Err(fault);
            }
        }
    }
    Ok(fds)
}

pub(crate) fn close_all(fds: Vec<Option<c_int>>) {
    for fd in fds.into_iter().flatten() {
        // The program may have closed it.
        let _ = fd::close(fd);
    }
}

impl BpfObject {
    pub(crate) fn of(object: Object) -> Box<BpfObject> {
        let text = |name: &str| CString::new(name).unwrap_or_default();
        let name = text(object.name());
        let programs: Vec<_> = object.programs().to_vec();
        let maps: Vec<_> = object.maps().iter().map(|map| text(&map.name)).collect();
        let shared = Arc::new(Shared(Mutex::new(State {
            object,
            loaded: None,
            program_fds: Vec::new(),
            map_fds: Vec::new(),
            refused: None,
        })));
        let program = |(index, program): (usize, &client::ObjectProgram)| {
            BpfProgram::new(&shared, index, program)
        };
        let map = |(index, name)| BpfMap {
            shared: Arc::clone(&shared),
            index,
            name,
        };
        let object = Box::new(BpfObject {
            programs: programs.iter().enumerate().map(program).collect(),
            maps: maps.into_iter().enumerate().map(map).collect(),
            name,
            shared,
        });
        open_objects().push(object.address());
        object
    }

    /// What tells it from others while it is open.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).expose_provenance()
    }

    /// Is it a driver?
    pub(crate) fn is_native(&self) -> bool {
        self.shared.lock().object.is_native()
    }

    pub(crate) fn programs(&self) -> &[BpfProgram] {
        &self.programs
    }
}

impl Drop for BpfObject {
    fn drop(&mut self) {
        let address = self.address();
        open_objects().retain(|open| *open != address);
    }
}

/// Addresses of all open objects, in the order they were opened.
fn open_objects() -> MutexGuard<'static, Vec<usize>> {
    static OPEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The object that was opened after another, the first one after none; NULL at the end.
fn next_object(previous: Option<&BpfObject>) -> *const BpfObject {
    let open = open_objects();
    let next = match previous.map(BpfObject::address) {
        None => open.first(),
        Some(previous) => {
            let mut rest = open.iter().skip_while(|open| **open != previous);
            rest.nth(1)
        }
    };
    next.map_or(std::ptr::null(), |next| {
        std::ptr::with_exposed_provenance(*next)
    })
}

fn options(opts: Option<&ObjectOpenOpts>) -> Result<OpenOptions, Fault> {
    /// Bytes up to the end of the name.
    const WITH_NAME: usize = 16;
    let name = match opts {
        Some(opts) if opts.sz >= WITH_NAME => opts.object_name.optional()?,
        _ => None,
    };
    Ok(OpenOptions {
        name: name.map(str::to_owned),
        ..OpenOptions::default()
    })
}

fn open(path: Text, opts: Option<&ObjectOpenOpts>) -> Result<Box<BpfObject>, Fault> {
    let object = Object::open_with(path.get()?, &options(opts)?)?;
    Ok(BpfObject::of(object))
}

/// The element after another, the first one after none.
pub(crate) fn after<'a, T>(all: &'a [T], previous: Option<&T>) -> Option<&'a T> {
    match previous {
        None => all.first(),
        Some(previous) => all.get(position(all, previous)?.checked_add(1)?),
    }
}

/// The element before another, the last one before none.
pub(crate) fn before<'a, T>(all: &'a [T], next: Option<&T>) -> Option<&'a T> {
    match next {
        None => all.last(),
        Some(next) => all.get(position(all, next)?.checked_sub(1)?),
    }
}

fn position<T>(all: &[T], element: &T) -> Option<usize> {
    all.iter().position(|other| std::ptr::eq(other, element))
}

fn pin_map(map: &BpfMap, path: Option<&str>) -> Result<(), Fault> {
    let state = map.shared.lock();
    let path = path.unwrap_or(&state.object.maps()[map.index].name);
    Ok(state.map(map.index)?.pin(path)?)
}

fn unpin_map(map: &BpfMap, path: Option<&str>) -> Result<(), Fault> {
    let state = map.shared.lock();
    let path = path.unwrap_or(&state.object.maps()[map.index].name);
    Ok(fd::client()?.unpin(path)?)
}

/// Pins all of something, or none.
pub(crate) fn pin_all<T>(
    all: &[T],
    path: impl Fn(&T) -> String,
    pin: impl Fn(&T, &str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for (done, one) in all.iter().enumerate() {
        if let Err(fault) = pin(one, &path(one)) {
            let client = fd::client()?;
            for one in &all[..done] {
                // The first problem is the one to tell.
                let _ = client.unpin(&path(one));
            }
            return Err(fault);
        }
    }
    Ok(())
}

fn map_path(folder: &str) -> impl Fn(&BpfMap) -> String {
    move |map| format!("{folder}/{}", map.name.to_string_lossy())
}

fn pin_maps(object: &BpfObject, folder: Text) -> Result<(), Fault> {
    let path = map_path(folder.get()?);
    pin_all(&object.maps, path, |map, path| pin_map(map, Some(path)))
}

fn unpin_maps(object: &BpfObject, folder: Text) -> Result<(), Fault> {
    let path = map_path(folder.get()?);
    let client = fd::client()?;
    object
        .maps
        .iter()
        .try_for_each(|map| Ok(client.unpin(&path(map))?))
}

fn pin_object(object: &BpfObject, folder: Text) -> Result<(), Fault> {
    pin_maps(object, folder)?;
    crate::program::pin_programs(object, folder).inspect_err(|_| {
        // What was pinned a moment ago.
        let _ = unpin_maps(object, folder);
    })
}

fn fd_of_map(map: &BpfMap) -> Option<c_int> {
    map.shared.lock().map_fds.get(map.index).copied().flatten()
}

fn definition(map: Option<&BpfMap>, field: fn(&client::ObjectMap) -> u32) -> u32 {
    map.map_or(0, |map| field(&map.shared.lock().object.maps()[map.index]))
}

fn find<T>(all: &[T], name: impl Fn(&T) -> &CString, wanted: Text) -> Result<&T, Fault> {
    let wanted = wanted.get()?;
    let mut all = all.iter();
    let found = all.find(|one| name(one).to_bytes() == wanted.as_bytes());
    found.ok_or(Fault::MISSING)
}

exports! {
    /// Opens an object file or a driver.
    fn bpf_object__open(path: Text) -> Option<Box<BpfObject>> {
        some(open(path, None))
    }

    /// The same with options.
    fn bpf_object__open_file(path: Text, opts: Option<&ObjectOpenOpts>) -> Option<Box<BpfObject>> {
        some(open(path, opts))
    }

    /// Reads an object file from memory.
    fn bpf_object__open_mem(bytes: Input, length: usize, opts: Option<&ObjectOpenOpts>) -> Option<Box<BpfObject>> {
        some(bytes.bytes(length).and_then(|bytes| {
            let object = Object::parse(&bytes, &options(opts)?)?;
            Ok(BpfObject::of(object))
        }))
    }

    /// Loads programs and maps: all, or none.
    fn bpf_object__load(object: Option<&BpfObject>) -> c_int {
        done(object.ok_or(Fault::INVALID).and_then(|object| {
            let client = fd::client()?;
            object.shared.lock().load(&client)
        }))
    }

    /// Gives up what was loaded.
    fn bpf_object__unload(object: Option<&BpfObject>) -> c_int {
        done(object.ok_or(Fault::INVALID).map(|object| object.shared.lock().unload()))
    }

    /// Closes an object; its programs and maps go unless they are pinned or used.
    fn bpf_object__close(object: Option<Box<BpfObject>>) {
        if let Some(object) = object {
            object.shared.lock().unload();
        }
    }

    /// The object that was opened after another, the first one after NULL; NULL at the end.
    fn bpf_object__next(previous: Option<&BpfObject>) -> *const BpfObject {
        next_object(previous)
    }

    /// The name of an object.
    fn bpf_object__name(object: Option<&BpfObject>) -> *const c_char {
        object.map_or(std::ptr::null(), |object| object.name.as_ptr())
    }

    /// The program after another, the first one after NULL.
    fn bpf_object__next_program<'a>(object: Option<&'a BpfObject>, previous: Option<&BpfProgram>) -> Option<&'a BpfProgram> {
        after(&object?.programs, previous)
    }

    /// The program before another, the last one before NULL.
    fn bpf_object__prev_program<'a>(object: Option<&'a BpfObject>, next: Option<&BpfProgram>) -> Option<&'a BpfProgram> {
        before(&object?.programs, next)
    }

    /// The map after another, the first one after NULL.
    fn bpf_object__next_map<'a>(object: Option<&'a BpfObject>, previous: Option<&BpfMap>) -> Option<&'a BpfMap> {
        after(&object?.maps, previous)
    }

    /// The map before another, the last one before NULL.
    fn bpf_object__prev_map<'a>(object: Option<&'a BpfObject>, next: Option<&BpfMap>) -> Option<&'a BpfMap> {
        before(&object?.maps, next)
    }

    /// The map after another, the first one after NULL.
    fn bpf_map__next<'a>(previous: Option<&BpfMap>, object: Option<&'a BpfObject>) -> Option<&'a BpfMap> {
        after(&object?.maps, previous)
    }

    /// The map before another, the last one before NULL.
    fn bpf_map__prev<'a>(next: Option<&BpfMap>, object: Option<&'a BpfObject>) -> Option<&'a BpfMap> {
        before(&object?.maps, next)
    }

    /// The program of a name.
    fn bpf_object__find_program_by_name(object: Option<&BpfObject>, name: Text) -> Option<&BpfProgram> {
        some(object.ok_or(Fault::INVALID).and_then(|object| find(&object.programs, BpfProgram::name, name)))
    }

    /// The map of a name.
    fn bpf_object__find_map_by_name(object: Option<&BpfObject>, name: Text) -> Option<&BpfMap> {
        some(object.ok_or(Fault::INVALID).and_then(|object| find(&object.maps, |map| &map.name, name)))
    }

    /// The descriptor of the map of a name.
    fn bpf_object__find_map_fd_by_name(object: Option<&BpfObject>, name: Text) -> c_int {
        number(object.ok_or(Fault::INVALID).and_then(|object| {
            let map = find(&object.maps, |map| &map.name, name)?;
            fd_of_map(map).ok_or(Fault::MISSING)
        }))
    }

    /// Pins all maps below a folder.
    fn bpf_object__pin_maps(object: Option<&BpfObject>, path: Text) -> c_int {
        done(object.ok_or(Fault::INVALID).and_then(|object| pin_maps(object, path)))
    }

    /// Takes these pins away.
    fn bpf_object__unpin_maps(object: Option<&BpfObject>, path: Text) -> c_int {
        done(object.ok_or(Fault::INVALID).and_then(|object| unpin_maps(object, path)))
    }

    /// Pins all maps and programs below a folder.
    fn bpf_object__pin(object: Option<&BpfObject>, path: Text) -> c_int {
        done(object.ok_or(Fault::INVALID).and_then(|object| pin_object(object, path)))
    }

    /// The descriptor of a map, -1 before it is loaded. It belongs to the object.
    fn bpf_map__fd(map: Option<&BpfMap>) -> c_int {
        map.and_then(fd_of_map).unwrap_or(-1)
    }

    /// The name of a map.
    fn bpf_map__name(map: Option<&BpfMap>) -> *const c_char {
        map.map_or(std::ptr::null(), |map| map.name.as_ptr())
    }

    /// The number of a map's type.
    fn bpf_map__type(map: Option<&BpfMap>) -> c_int {
        definition(map, |map| map.map_type) as c_int
    }

    /// Bytes of a key.
    fn bpf_map__key_size(map: Option<&BpfMap>) -> u32 {
        definition(map, |map| map.key_size)
    }

    /// Bytes of a value.
    fn bpf_map__value_size(map: Option<&BpfMap>) -> u32 {
        definition(map, |map| map.value_size)
    }

    /// Most elements.
    fn bpf_map__max_entries(map: Option<&BpfMap>) -> u32 {
        definition(map, |map| map.max_entries)
    }

    /// Pins a map; NULL stands for its name.
    fn bpf_map__pin(map: Option<&BpfMap>, path: Text) -> c_int {
        done(map.ok_or(Fault::INVALID).and_then(|map| pin_map(map, path.optional()?)))
    }

    /// Takes a pin away; NULL stands for the name of the map.
    fn bpf_map__unpin(map: Option<&BpfMap>, path: Text) -> c_int {
        done(map.ok_or(Fault::INVALID).and_then(|map| unpin_map(map, path.optional()?)))
    }

    /// Is a map pinned?
    fn bpf_map__is_pinned(map: Option<&BpfMap>) -> bool {
        let pinned = |map: &BpfMap| {
            let info = map.shared.lock().map(map.index).ok()?.info().ok()?;
            Some(info.pinned_paths > 0)
        };
        map.and_then(pinned).unwrap_or(false)
    }
}
