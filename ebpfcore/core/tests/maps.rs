//! Maps against simple models of the standard library, over random operation sequences.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod support;

use abi::MapKind;
use ebpfcore::{Flags, Map, Shared, Status};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use support::{CPUS, Random, core, definition, map, set_cpu, try_map, turns};

fn keys(map: &Map, size: usize) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let mut next = vec![0; size];
    while map
        .next_key(keys.last().map(Vec::as_slice), &mut next)
        .is_ok()
    {
        keys.push(next.clone());
        assert!(keys.len() < 100_000, "iteration does not end");
    }
    keys
}

#[test]
fn hash_behaves_like_a_tree_map() {
    for key_size in [1usize, 3, 4, 8, 12, 16, 40] {
        let (core, _) = core();
        let map = map(&core, MapKind::Hash, [key_size as u32, 12, 20]);
        let mut model: BTreeMap<Vec<u8>, [u8; 12]> = BTreeMap::new();
        let mut random = Random(key_size as u64);
        for step in 0..turns(20_000) {
            let mut key = vec![0xa5; key_size];
            key[key_size - 1] = random.below(30) as u8;
            let mut value = [0u8; 12];
            value[..8].copy_from_slice(&step.to_le_bytes());
            match random.below(6) {
                0..=2 => {
                    let flags =
                        [Flags::Any, Flags::NoExist, Flags::Exist][random.below(3) as usize];
                    let expected = match (model.contains_key(&key), flags) {
                        (true, Flags::NoExist) => Err(Status::KeyAlreadyExists),
                        (false, Flags::Exist) => Err(Status::KeyNotFound),
                        (false, _) if model.len() == 20 => Err(Status::OutOfSpace),
                        _ => {
                            model.insert(key.clone(), value);
                            Ok(())
                        }
                    };
                    assert_eq!(map.update(&key, &value, flags), expected, "step {step}");
                }
                3 => {
                    let expected = model.remove(&key).map(|_| ()).ok_or(Status::KeyNotFound);
                    assert_eq!(map.delete(&key), expected, "step {step}");
                }
                4 => {
                    let mut out = [0; 12];
                    let found = map.lookup_and_delete(&key, &mut out).map(|()| out);
                    assert_eq!(found, model.remove(&key).ok_or(Status::KeyNotFound));
                }
                _ => {
                    let mut out = [0; 12];
                    let found = map.lookup(&key, &mut out).map(|()| out);
                    assert_eq!(found, model.get(&key).copied().ok_or(Status::KeyNotFound));
                }
            }
            assert_eq!(map.len(), model.len());
        }
        let listed: BTreeSet<_> = keys(&map, key_size).into_iter().collect();
        assert_eq!(listed, model.keys().cloned().collect());
    }
}

#[test]
fn array_has_fixed_elements() {
    let (core, _) = core();
    let map = map(&core, MapKind::Array, [4, 5, 3]);
    let key = |index: u32| index.to_ne_bytes();
    assert_eq!(map.update(&key(2), b"abcde", Flags::Any), Ok(()));
    assert_eq!(
        map.update(&key(3), b"abcde", Flags::Any),
        Err(Status::InvalidArgument)
    );
    assert_eq!(
        map.update(&key(1), b"abcde", Flags::NoExist),
        Err(Status::InvalidArgument)
    );
    assert_eq!(
        map.update(&key(1), b"abcd", Flags::Any),
        Err(Status::InvalidArgument)
    );
    let mut out = [0; 5];
    assert_eq!(map.lookup(&key(2), &mut out), Ok(()));
    assert_eq!(&out, b"abcde");
    assert_eq!(map.lookup(&key(3), &mut out), Err(Status::ObjectNotFound));
    assert_eq!(map.delete(&key(2)), Ok(()), "deleting zeroes");
    assert_eq!(map.lookup(&key(2), &mut out), Ok(()));
    assert_eq!(out, [0; 5]);
    assert_eq!(
        map.lookup_and_delete(&key(2), &mut out),
        Err(Status::InvalidArgument)
    );
    assert_eq!(keys(&map, 4), [key(0), key(1), key(2)]);
    let mut next = [0; 4];
    assert_eq!(map.next_key(Some(&key(9)), &mut next), Ok(()));
    assert_eq!(next, key(0), "an unknown key restarts");
}

#[test]
fn per_cpu_values_are_seen_whole_by_users() {
    let (core, _) = core();
    for kind in [
        MapKind::PerCpuArray,
        MapKind::PerCpuHash,
        MapKind::LruPerCpuHash,
    ] {
        let map = map(&core, kind, [4, 6, 2]);
        assert_eq!(map.user_value_size(), CPUS as usize * 8);
        let value: Vec<u8> = (0..CPUS as u8 * 8).collect();
        let key = 1u32.to_ne_bytes();
        assert_eq!(map.update(&key, &value, Flags::Any), Ok(()));
        let mut out = vec![0; value.len()];
        assert_eq!(map.lookup(&key, &mut out), Ok(()));
        for (cpu, (got, sent)) in out.chunks(8).zip(value.chunks(8)).enumerate() {
            assert_eq!(got[..6], sent[..6], "{kind:?} cpu {cpu}");
        }
        assert_eq!(
            map.update(&key, &value[..6], Flags::Any),
            Err(Status::InvalidArgument)
        );
    }
}

#[test]
fn lru_keeps_what_is_new_and_never_overflows() {
    let (core, _) = core();
    let map = map(&core, MapKind::LruHash, [4, 8, 64]);
    let steps = turns(10_000) as u32;
    for step in 0..steps {
        let value = u64::from(step).to_ne_bytes();
        assert_eq!(map.update(&step.to_ne_bytes(), &value, Flags::Any), Ok(()));
        assert!(map.len() <= 64);
        let mut out = [0; 8];
        assert_eq!(map.lookup(&step.to_ne_bytes(), &mut out), Ok(()));
        assert_eq!(out, value);
    }
    assert_eq!(map.len(), 64);
    let newest = (steps - 1).to_ne_bytes();
    assert!(keys(&map, 4).iter().any(|key| *key == newest));
}

#[test]
fn trie_finds_the_longest_prefix() {
    let (core, _) = core();
    let map = map(&core, MapKind::LpmTrie, [8, 4, 1000]);
    let mut model: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    let mut random = Random(3);
    let mask = |address: u32, prefix: u32| {
        if prefix == 0 {
            0
        } else {
            address & (u32::MAX << (32 - prefix))
        }
    };
    let key = |prefix: u32, address: u32| {
        let mut key = prefix.to_ne_bytes().to_vec();
        key.extend(address.to_be_bytes());
        key
    };
    for step in 0..turns(6_000) as u32 {
        let prefix = random.below(34) as u32;
        let address = (random.next() as u32) & 0xf0f0_0003;
        let text = key(prefix, address);
        if prefix > 32 {
            assert_eq!(
                map.update(&text, &[0; 4], Flags::Any),
                Err(Status::InvalidArgument)
            );
            continue;
        }
        let cut = (prefix, mask(address, prefix));
        match random.below(4) {
            0 => {
                let done = map.update(&text, &step.to_ne_bytes(), Flags::Any);
                let room = model.len() < 1000 || model.contains_key(&cut);
                assert_eq!(done.is_ok(), room);
                if room {
                    model.insert(cut, step);
                }
            }
            1 => {
                let expected = model.remove(&cut).map(|_| ()).ok_or(Status::KeyNotFound);
                assert_eq!(map.delete(&text), expected);
            }
            _ => {
                let best = (0..=prefix)
                    .rev()
                    .find_map(|p| model.get(&(p, mask(address, p))));
                let mut out = [0; 4];
                let found = map
                    .lookup(&text, &mut out)
                    .map(|()| u32::from_ne_bytes(out));
                assert_eq!(
                    found,
                    best.copied().ok_or(Status::KeyNotFound),
                    "step {step}"
                );
            }
        }
    }
    assert_eq!(map.len(), model.len());
    assert_eq!(keys(&map, 8).len(), model.len());
}

#[test]
fn queue_and_stack_order() {
    let (core, _) = core();
    for kind in [MapKind::Queue, MapKind::Stack] {
        let map = map(&core, kind, [0, 2, 5]);
        let mut model: VecDeque<[u8; 2]> = VecDeque::new();
        let mut random = Random(9);
        for step in 0..turns(5_000) as u16 {
            let value = step.to_ne_bytes();
            let mut out = [0; 2];
            let next = match kind {
                MapKind::Queue => model.front().copied(),
                _ => model.back().copied(),
            };
            match random.below(5) {
                0 | 1 => {
                    let full = model.len() == 5;
                    let expected = if full {
                        Err(Status::OutOfSpace)
                    } else {
                        Ok(())
                    };
                    assert_eq!(map.update(&[], &value, Flags::Any), expected);
                    if !full {
                        model.push_back(value);
                    }
                }
                2 => {
                    assert_eq!(map.update(&[], &value, Flags::Exist), Ok(()));
                    if model.len() == 5 {
                        model.pop_front();
                    }
                    model.push_back(value);
                }
                3 => {
                    let got = map.lookup(&[], &mut out).map(|()| out);
                    assert_eq!(got, next.ok_or(Status::ObjectNotFound));
                }
                _ => {
                    let got = map.lookup_and_delete(&[], &mut out).map(|()| out);
                    assert_eq!(got, next.ok_or(Status::ObjectNotFound));
                    match kind {
                        MapKind::Queue => _ = model.pop_front(),
                        _ => _ = model.pop_back(),
                    }
                }
            }
        }
    }
}

#[test]
fn definitions_are_checked() {
    let (core, _) = core();
    #[rustfmt::skip]
    let cases = [
        (MapKind::Array, [4, 8, 1], true), (MapKind::Array, [8, 8, 1], false),
        (MapKind::Array, [4, 0, 1], false), (MapKind::Array, [4, 8, 0], false),
        (MapKind::Array, [4, u32::MAX, u32::MAX], false),
        (MapKind::Hash, [0, 8, 1], false), (MapKind::Hash, [3, 1, 1], true),
        (MapKind::LpmTrie, [3, 8, 1], false), (MapKind::LpmTrie, [8, 8, 1], true),
        (MapKind::Queue, [4, 8, 1], false), (MapKind::Queue, [0, 8, 1], true),
        (MapKind::RingBuf, [0, 0, 4096], true), (MapKind::RingBuf, [0, 0, 5000], false),
        (MapKind::RingBuf, [4, 0, 4096], false), (MapKind::ProgArray, [4, 4, 2], true),
        (MapKind::ProgArray, [4, 8, 2], false), (MapKind::PerfEventArray, [0, 0, 4096], true),
        (MapKind::ArrayOfMaps, [4, 4, 2], false), // no template
    ];
    for (kind, sizes, valid) in cases {
        assert_eq!(
            try_map(&core, kind, sizes).is_ok(),
            valid,
            "{kind:?} {sizes:?}"
        );
    }
}

#[test]
fn maps_of_maps_hold_matching_maps() {
    let (core, _) = core();
    let template = definition(MapKind::Hash, 4, 4, 8);
    for (kind, key) in [(MapKind::ArrayOfMaps, 4), (MapKind::HashOfMaps, 4)] {
        let outer = Map::new(&core, definition(kind, key, 4, 3), Some(template.clone())).unwrap();
        let fits = map(&core, MapKind::Hash, [4, 4, 8]);
        let other = map(&core, MapKind::Hash, [4, 8, 8]);
        let slot = 1u32.to_ne_bytes();
        let mut id = [0; 4];
        assert_eq!(outer.set_map(&slot, Some(Shared::clone(&fits))), Ok(()));
        assert_eq!(
            outer.set_map(&slot, Some(other)),
            Err(Status::InvalidObject)
        );
        assert_eq!(outer.lookup(&slot, &mut id), Ok(()));
        assert_eq!(u32::from_ne_bytes(id), fits.id());
        assert_eq!(
            outer.set_map(&slot, Some(Shared::clone(&fits))),
            Ok(()),
            "replace"
        );
        assert_eq!(outer.len(), 1);
        assert_eq!(outer.delete(&slot), Ok(()));
        assert_eq!(outer.delete(&slot), Err(Status::KeyNotFound));
        assert!(outer.lookup(&slot, &mut id).is_err());
        assert_eq!(outer.set_map(&slot, Some(fits)), Ok(()));
    }
}

#[test]
fn writers_and_readers_at_once() {
    let (core, _) = core();
    for kind in [MapKind::Hash, MapKind::LruHash, MapKind::PerCpuHash] {
        let map = map(&core, kind, [8, 16, 256]);
        std::thread::scope(|scope| {
            for thread in 0..CPUS {
                let map = &map;
                scope.spawn(move || {
                    set_cpu(thread);
                    hammer(map, u64::from(thread));
                });
            }
        });
        assert!(map.len() <= 256);
        assert_eq!(keys(&map, 8).len(), map.len(), "{kind:?}");
    }
}

/// Values always hold the key twice, so that a torn or foreign value shows.
fn hammer(map: &Map, seed: u64) {
    let mut random = Random(seed);
    let copies = map.user_value_size() / 16;
    for _ in 0..turns(20_000) {
        let key = random.below(300);
        let bytes = key.to_ne_bytes();
        let value = [bytes, bytes].concat().repeat(copies);
        match random.below(3) {
            0 => match map.update(&bytes, &value, Flags::Any) {
                Ok(()) | Err(Status::OutOfSpace) => {}
                other => panic!("{other:?}"),
            },
            1 => match map.delete(&bytes) {
                Ok(()) | Err(Status::KeyNotFound) => {}
                other => panic!("{other:?}"),
            },
            _ => {
                let mut out = vec![0; value.len()];
                if map.lookup(&bytes, &mut out).is_ok() {
                    assert_eq!(out, value);
                }
            }
        }
    }
}
