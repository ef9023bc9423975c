// SPDX-License-Identifier: GPL-2.0-only
//! The module's events, decoded.

use std::collections::HashMap;

use super::format::Format;
use super::read::{Record, TraceFile};

/// An event of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds.
    pub time: u64,
    /// The thread.
    pub pid: i32,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody asks for pages.
    Asked(Claim),
    /// And has got them, or not.
    Got(Claim, bool),
    /// And gives them back, or a part of them.
    Gave(Claim),
    /// A speculation has installed an entry; the number of the backing.
    Speculated(Fault, u64),
    /// One was given up; the number of the cause.
    Aborted(Fault, u64),
    /// The fault goes to a lock.
    FellBack(Fault),
    /// It is over; the numbers of its path and result.
    Completed(Fault, u64, u64),
    /// A page is in its slot; whether it came now.
    Committed(u64, u64, bool),
    /// Entries are taken out of windows.
    Zapped(u64, Pages),
    /// A call is over.
    Called(u64, Call, Pages, i64),
    /// A space ends, and this is one of its counters: its number and value.
    Counted(u64, u64, u64),
}

/// Pages that are locked or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The space.
    pub lock: u64,
    /// Which of its locks.
    pub kind: Lock,
    /// Which pages. A semaphore locks all, whichever are meant.
    pub pages: Pages,
    /// Whether nobody else may have them.
    pub write: bool,
}

/// A lock of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lock {
    /// Its range lock.
    Range,
    /// Its semaphore.
    Semaphore,
}

/// A half-open interval of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pages {
    /// The first.
    pub start: u64,
    /// Behind the last.
    pub end: u64,
}

/// A fault of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The space.
    pub space: u64,
    /// The page of it.
    pub page: u64,
    /// Whether it writes.
    pub write: bool,
}

/// A call that changes regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of the calls")]
pub enum Call {
    Map,
    Unmap,
    Protect,
    Remap,
    Advise,
}

impl Call {
    /// All of them.
    pub const ALL: [Call; 5] = [
        Call::Map,
        Call::Unmap,
        Call::Protect,
        Call::Remap,
        Call::Advise,
    ];

    /// As the event is named.
    pub fn name(self) -> &'static str {
        match self {
            Call::Map => "map",
            Call::Unmap => "unmap",
            Call::Protect => "protect",
            Call::Remap => "remap",
            Call::Advise => "advise",
        }
    }
}

impl Pages {
    /// How many there are.
    pub fn count(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether a page is in both.
    pub fn overlap(self, other: Pages) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// "[3,7)".
    pub fn text(self) -> String {
        format!("[{},{})", self.start, self.end)
    }
}

impl Claim {
    /// Whether both may not be held at once.
    pub fn conflicts(&self, other: &Claim) -> bool {
        self.lock == other.lock
            && self.kind == other.kind
            && (self.write || other.write)
            && (self.kind == Lock::Semaphore || self.pages.overlap(other.pages))
    }
}

impl What {
    /// The space that it is about.
    pub fn space(&self) -> u64 {
        match *self {
            What::Asked(claim) | What::Got(claim, _) | What::Gave(claim) => claim.lock,
            What::Speculated(fault, _)
            | What::Aborted(fault, _)
            | What::FellBack(fault)
            | What::Completed(fault, ..) => fault.space,
            What::Committed(space, ..)
            | What::Zapped(space, _)
            | What::Called(space, ..)
            | What::Counted(space, ..) => space,
        }
    }
}

/// Names of the numbers in events, as their formats have them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    tables: HashMap<(&'static str, &'static str), Vec<(u64, String)>>,
}

impl Names {
    fn of(file: &TraceFile) -> Names {
        let mut names = Names::default();
        for (event, field) in [
            ("faultline_fault_speculated", "backing"),
            ("faultline_fault_aborted", "cause"),
            ("faultline_fault_completed", "path"),
            ("faultline_fault_completed", "result"),
            ("faultline_space_counted", "counter"),
        ] {
            let mut formats = file.formats.values();
            let format = formats.find(|format| format.name == event);
            if let Some(found) = format.and_then(|format| format.field(field)) {
                names.tables.insert((event, field), found.names.clone());
            }
        }
        names
    }

    /// Of a module with these counters, for tests.
    #[cfg(test)]
    pub(super) fn of_counters(counters: &[&str]) -> Names {
        let mut names = Names::default();
        let table = (0..).zip(counters.iter().map(|name| (*name).to_owned()));
        let key = ("faultline_space_counted", "counter");
        names.tables.insert(key, table.collect());
        names
    }

    fn name(&self, event: &'static str, field: &'static str, number: u64) -> String {
        let table = self.tables.get(&(event, field)).into_iter().flatten();
        let mut named = table.filter(|(value, _)| *value == number);
        named
            .next()
            .map_or_else(|| number.to_string(), |(_, name)| name.clone())
    }

    /// Of a backing.
    pub fn backing(&self, number: u64) -> String {
        self.name("faultline_fault_speculated", "backing", number)
    }

    /// Of a cause of aborts.
    pub fn cause(&self, number: u64) -> String {
        self.name("faultline_fault_aborted", "cause", number)
    }

    /// Of the path of a fault.
    pub fn path(&self, number: u64) -> String {
        self.name("faultline_fault_completed", "path", number)
    }

    /// Of what came of a fault.
    pub fn result(&self, number: u64) -> String {
        self.name("faultline_fault_completed", "result", number)
    }

    /// Of a counter of a space.
    pub fn counter(&self, number: u64) -> String {
        self.name("faultline_space_counted", "counter", number)
    }
}

/// All events of the module, decoded, with the places of their records, and names.
pub fn decode(file: &TraceFile, records: &[Record]) -> (Vec<(usize, Event)>, Names) {
    let mut events = Vec::new();
    for (at, record) in records.iter().enumerate() {
        let what = file
            .formats
            .get(&record.id)
            .filter(|format| format.system == "faultline")
            .and_then(|format| decode_one(format, file.content(record)));
        if let Some(what) = what {
            events.push((
                at,
                Event {
                    time: record.time,
                    pid: record.pid,
                    what,
                },
            ));
        }
    }
    (events, Names::of(file))
}

/// `None` for an event that is not known here, or lacks a field.
fn decode_one(format: &Format, record: &[u8]) -> Option<What> {
    let get = |name: &str| format.field(name)?.number(record);
    let flag = |name: &str| get(name).map(|value| value != 0);
    let pages = || {
        Some(Pages {
            start: get("start")?,
            end: get("end")?,
        })
    };
    let claim = |kind| {
        Some(Claim {
            lock: get("lock")?,
            kind,
            pages: pages()?,
            write: flag("write")?,
        })
    };
    let fault = || {
        Some(Fault {
            space: get("space")?,
            page: get("page")?,
            write: flag("write")?,
        })
    };
    let called = |call| {
        let result = get("result")? as u32 as i32;
        Some(What::Called(get("space")?, call, pages()?, result.into()))
    };
    match format.name.strip_prefix("faultline_")? {
        "range_start_locking" => Some(What::Asked(claim(Lock::Range)?)),
        "range_acquire_returned" => Some(What::Got(claim(Lock::Range)?, flag("success")?)),
        "range_released" => Some(What::Gave(claim(Lock::Range)?)),
        "space_start_locking" => Some(What::Asked(claim(Lock::Semaphore)?)),
        "space_acquire_returned" => Some(What::Got(claim(Lock::Semaphore)?, flag("success")?)),
        "space_released" => Some(What::Gave(claim(Lock::Semaphore)?)),
        "fault_speculated" => Some(What::Speculated(fault()?, get("backing")?)),
        "fault_aborted" => Some(What::Aborted(fault()?, get("cause")?)),
        "fault_fell_back" => Some(What::FellBack(fault()?)),
        "fault_completed" => Some(What::Completed(fault()?, get("path")?, get("result")?)),
        "commit" => Some(What::Committed(
            get("space")?,
            get("page")?,
            flag("filled")?,
        )),
        "zap" => {
            let start = get("first")?;
            let end = start.saturating_add(get("pages")?);
            Some(What::Zapped(get("space")?, Pages { start, end }))
        }
        "map" => called(Call::Map),
        "unmap" => called(Call::Unmap),
        "protect" => called(Call::Protect),
        "remap" => called(Call::Remap),
        "advise" => called(Call::Advise),
        "space_counted" => Some(What::Counted(get("space")?, get("counter")?, get("value")?)),
        _ => None,
    }
}
