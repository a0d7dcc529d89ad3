//! Windows by key, in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard};

use super::window::{SLICES, Window};
use crate::call::lock;

/// Keys of a part before it is made room in: what fills a table of 128 places.
const PART: usize = 112;
const MOST_PARTS: usize = 1024;

/// Windows by the number of their key.
///
/// Parts have a lock each, held for a few nanoseconds. A part that is full makes room by forgetting
/// what is idle, or else what has counted least: whoever floods the table with keys of their own
/// pushes out keys that count next to nothing, their own first, and nobody is turned away for lack
/// of room.
pub(super) struct Table {
    parts: Box<[Mutex<Part>]>,
    per_part: usize,
}

type Part = HashMap<u64, Entry, BuildHasherDefault<Own>>;

pub(super) struct Entry {
    pub(super) window: Window,
    /// The limit that was last asked for.
    pub(super) limit: u32,
}

/// A window that has counted a good part of its limit.
pub(super) struct Busy {
    pub(super) id: u64,
    pub(super) newest: i64,
    pub(super) counts: [u32; SLICES],
    /// How much of its limit is used, in thousandths.
    pub(super) share: u64,
}

impl Table {
    /// A table of about this many keys.
    pub(super) fn new(keys: usize) -> Self {
        let parts = keys.div_ceil(PART).next_power_of_two().clamp(1, MOST_PARTS);
        let per_part = keys.div_ceil(parts).max(1);
        Self { parts: (0..parts).map(|_| Mutex::default()).collect(), per_part }
    }

    fn part(&self, id: u64) -> MutexGuard<'_, Part> {
        // Not the lowest nor the highest bits: the map uses those.
        lock(&self.parts[(id >> 32) as usize & (self.parts.len() - 1)])
    }

    /// Does something with the window of a key, brought up to this slice.
    pub(super) fn with<T>(
        &self,
        id: u64,
        limit: u32,
        slice: i64,
        work: impl FnOnce(&mut Window) -> T,
    ) -> T {
        let mut part = self.part(id);
        if let Some(entry) = part.get_mut(&id) {
            entry.limit = limit;
            entry.window.advance(slice);
            return work(&mut entry.window);
        }
        if part.len() >= self.per_part {
            make_room(&mut part, slice);
        }
        let entry = part.entry(id).or_insert(Entry { window: Window::new(slice), limit });
        work(&mut entry.window)
    }

    /// Looks at the window of a key, if there is one.
    pub(super) fn peek<T>(
        &self,
        id: u64,
        slice: i64,
        work: impl FnOnce(&mut Window) -> T,
    ) -> Option<T> {
        let mut part = self.part(id);
        part.get_mut(&id).map(|entry| {
            entry.window.advance(slice);
            work(&mut entry.window)
        })
    }

    /// Forgets what counts nothing any more, and gives memory back.
    pub(super) fn sweep(&self, slice: i64) {
        for part in &self.parts {
            let mut part = lock(part);
            part.retain(|_, entry| !entry.window.is_idle(slice));
            if part.capacity() > 4 * part.len() {
                part.shrink_to_fit();
            }
        }
    }

    /// What this node counted of keys for which it is at least one `fraction`-th of the limit.
    pub(super) fn busy(&self, slice: i64, fraction: u64) -> Vec<Busy> {
        let mut busy = Vec::new();
        for part in &self.parts {
            for (id, entry) in lock(part).iter_mut() {
                entry.window.advance(slice);
                let used = entry.window.own_used();
                if used > 0 && used * fraction >= u64::from(entry.limit) {
                    let (newest, counts) = entry.window.own_counts();
                    let share = used * 1_000 / u64::from(entry.limit).max(1);
                    busy.push(Busy { id: *id, newest, counts, share });
                }
            }
        }
        busy
    }

    /// How many keys are held.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }
}

fn make_room(part: &mut Part, slice: i64) {
    let full = part.len();
    let mut least: Option<(u64, u64)> = None;
    part.retain(|id, entry| {
        entry.window.advance(slice);
        let used = entry.window.used();
        if least.is_none_or(|(_, most)| used < most) {
            least = Some((*id, used));
        }
        used > 0
    });
    if part.len() == full
        && let Some((id, _)) = least
    {
        part.remove(&id);
    }
}

/// Numbers of keys are hashes already.
#[derive(Default)]
struct Own(u64);

impl Hasher for Own {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
