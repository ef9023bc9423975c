// SPDX-License-Identifier: GPL-2.0-only
//! Files that are written here, and what is read of them.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::trace::drain::Pages;
use crate::trace::format::tests::ABORTED;
use crate::trace::summary::faults::Choice;
use crate::trace::summary::{render, summarise};
use crate::trace::text;
use crate::trace::write::{self, Header};

const PAGE: usize = 4096;

/// A page with one event for each of these times and causes.
fn page(events: &[(u32, u32)], flags: u64) -> Vec<u8> {
    let mut data = Vec::new();
    for (delta, cause) in events {
        data.extend(((delta << 5) | 12).to_le_bytes());
        let mut record = [0u8; 48];
        record[..2].copy_from_slice(&701u16.to_le_bytes());
        record[4..8].copy_from_slice(&77i32.to_le_bytes());
        record[8..16].copy_from_slice(&0xabcd_u64.to_le_bytes());
        record[24..32].copy_from_slice(&9u64.to_le_bytes());
        record[32] = 1;
        record[36..40].copy_from_slice(&cause.to_le_bytes());
        data.extend(record);
    }
    let mut page = 5_000_000_000u64.to_le_bytes().to_vec();
    page.extend(((data.len() as u64) | flags).to_le_bytes());
    page.extend(data);
    page.resize(PAGE, 0);
    page
}

/// Writes a file with the pages of two processors, and gives it back.
fn written(name: &str, cpus: [Vec<u8>; 2]) -> Vec<u8> {
    let dir = std::env::temp_dir().join(format!("faultline-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let pages: Vec<Pages> = cpus
        .into_iter()
        .enumerate()
        .map(|(cpu, bytes)| {
            let file = dir.join(format!("cpu{cpu}"));
            fs::write(&file, &bytes).unwrap();
            Pages {
                cpu,
                file,
                bytes: bytes.len() as u64,
            }
        })
        .collect();
    let header = Header {
        page_size: PAGE as u32,
        header_page: b"\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
            \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
            \tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n"
            .to_vec(),
        header_event: b"compressed\n".to_vec(),
        systems: vec![("faultline".into(), vec![ABORTED.into()])],
        symbols: b"ffffffffc0000000 t f\t[faultline]\n".to_vec(),
        cmdlines: b"77 worker\n".to_vec(),
        options: vec![
            (4, b"local [mono] boot\n\0".to_vec()),
            (2, b"CPU: 0\noverrun: 0\nread events: 2\n\0".to_vec()),
            (
                9,
                b"faultline 1\nevents: faultline:faultline_fault_aborted\n\0".to_vec(),
            ),
        ],
        clock: b"local [mono] boot\n\0".to_vec(),
        ..Header::default()
    };
    let path: PathBuf = dir.join("trace.dat");
    write::write(&path, &header, &pages).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_dir_all(&dir).unwrap();
    bytes
}

#[test]
fn what_is_written_is_read() {
    let bytes = written(
        "written",
        [page(&[(10, 1), (20, 9)], 0), page(&[(15, 0)], 0)],
    );
    let file = TraceFile::parse(bytes).unwrap();
    assert_eq!((file.clock.as_str(), file.task(77)), ("mono", "worker"));
    let (records, gaps) = file.records().unwrap();
    assert!(gaps.is_empty());
    let order: Vec<_> = records
        .iter()
        .map(|r| (r.time - 5_000_000_000, r.cpu))
        .collect();
    assert_eq!(order, [(10, 0), (15, 1), (30, 0)]);
    assert_eq!(
        text::line(&file, &records[0]).trim(),
        "worker-77  [0]     5.000000010  faultline_fault_aborted: space=0xabcd address=0x0 \
         page=9 write=true cause=no_region sequence=0"
    );
    let summary = summarise(&file, &records, &gaps, Choice::default()).unwrap();
    assert_eq!(summary.counts.aborted["no_memory"], 1);
    assert_eq!(summary.counts.aborts(), 3);
    assert!(!summary.lost.any());
}

#[test]
fn losses_come_first() {
    let bytes = written("lost", [page(&[(10, 1)], 1 << 31), Vec::new()]);
    let file = TraceFile::parse(bytes).unwrap();
    let (records, gaps) = file.records().unwrap();
    assert_eq!((gaps.len(), gaps[0].events), (1, None));
    let summary = summarise(&file, &records, &gaps, Choice::default()).unwrap();
    let text = render::text(&summary);
    assert!(text.starts_with("EVENTS WERE LOST"), "{text}");
    assert!(text.contains("--buffer"), "{text}");
}

#[test]
fn events_that_did_not_get_into_the_file_are_missed() {
    // The kernel says that two were read.
    let bytes = written("unread", [page(&[(10, 1)], 0), Vec::new()]);
    let file = TraceFile::parse(bytes).unwrap();
    let (records, gaps) = file.records().unwrap();
    let summary = summarise(&file, &records, &gaps, Choice::default()).unwrap();
    assert_eq!(summary.lost.unread(), 1);
}

#[test]
fn broken_files_are_refused() {
    let whole = written("broken", [page(&[(10, 1)], 0), Vec::new()]);
    for length in [0, 5, 20, 300, whole.len() - PAGE / 2] {
        let error = TraceFile::parse(whole[..length].to_vec()).err();
        assert!(error.is_some(), "{length} bytes of {}", whole.len());
    }
    let mut newer = whole.clone();
    newer[10] = b'7';
    let error = TraceFile::parse(newer).err().map(|error| error.to_string());
    assert!(error.unwrap().contains("trace-cmd convert"));
}
