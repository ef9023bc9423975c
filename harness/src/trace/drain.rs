// SPDX-License-Identifier: GPL-2.0-only
//! Taking the pages out of the ring buffers while the command runs.
//!
//! Each processor's pages go to a file of their own, as a trace file has them one
//! behind the other. A reader looks now and then, so that it finds pages that are full:
//! a look at a page that is being filled copies what it has to another page.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::tracefs::Instance;

/// How long a reader sleeps when a buffer is empty.
const PAUSE: Duration = Duration::from_millis(20);

/// The readers of all processors.
pub struct Drain {
    stop: Arc<AtomicBool>,
    readers: Vec<(usize, PathBuf, JoinHandle<io::Result<u64>>)>,
}

/// The pages of one processor.
#[derive(Debug)]
pub struct Pages {
    /// The processor.
    pub cpu: usize,
    /// The file that they are in.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Drain {
    /// Starts a reader for each of `cpus`; `beside` gives their files the names.
    pub fn start(instance: &Instance, cpus: &[usize], page: usize, beside: &Path) -> Result<Drain> {
        let mut drain = Drain {
            stop: Arc::default(),
            readers: Vec::new(),
        };
        for &cpu in cpus {
            let raw = instance.path(&format!("per_cpu/cpu{cpu}/trace_pipe_raw"));
            let from = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(&raw)
                .with_context(|| format!("opening {}", raw.display()))?;
            let mut name = beside.as_os_str().to_owned();
            name.push(format!(".cpu{cpu}"));
            let path = PathBuf::from(name);
            let to = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
            let stop = Arc::clone(&drain.stop);
            let reader = std::thread::Builder::new()
                .name(format!("trace/{cpu}"))
                .spawn(move || copy(from, to, page, &stop))
                .context("starting a reader")?;
            drain.readers.push((cpu, path, reader));
        }
        Ok(drain)
    }

    /// Waits until all that there is has been read. No event comes any more.
    pub fn finish(mut self) -> Result<Vec<Pages>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for (cpu, file, reader) in std::mem::take(&mut self.readers) {
            let copied = reader.join().map_err(|_| anyhow!("a reader panicked"))?;
            let bytes = copied.with_context(|| {
                format!("copying pages of processor {cpu} to {}", file.display())
            })?;
            all.push(Pages { cpu, file, bytes });
        }
        Ok(all)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for (_, file, reader) in self.readers.drain(..) {
            // It is given up: only the files must not stay.
            let _ = reader.join();
            let _ = fs::remove_file(file);
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// Copies whole pages; returns how many bytes.
fn copy(mut from: File, to: File, page: usize, stop: &AtomicBool) -> io::Result<u64> {
    let mut to = BufWriter::with_capacity(64 * page, to);
    let mut buffer = vec![0; page];
    let mut bytes = 0;
    loop {
        // Before the look: what came before the stop is seen by it.
        let last = stop.load(Ordering::Relaxed);
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) if read == page => {
                    to.write_all(&buffer)?;
                    bytes += page as u64;
                }
                Ok(read) => {
                    let what = format!("{read} bytes of a page of {page}");
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, what));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if last {
            to.flush()?;
            return Ok(bytes);
        }
        std::thread::sleep(PAUSE);
    }
}
