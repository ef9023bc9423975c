// SPDX-License-Identifier: GPL-2.0-only
//! Loading and unloading the module.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::check;

const NAME: &str = "faultline";
const SYSFS: &str = "/sys/module/faultline";

/// Whether the module is loaded.
pub(crate) fn is_loaded() -> bool {
    Path::new(SYSFS).exists()
}

/// The file of the default module, or of a variant, below `dir`.
pub(crate) fn file(dir: &Path, variant: Option<&str>) -> Option<PathBuf> {
    let places = match variant {
        Some(variant) => vec![dir.join(variant).join("faultline.ko")],
        None => vec![dir.join("faultline.ko"), dir.join("default/faultline.ko")],
    };
    places.into_iter().find(|path| path.exists())
}

/// finit_module.
pub(crate) fn load(path: &Path, parameters: &str) -> io::Result<()> {
    let file = File::open(path)?;
    let parameters = CString::new(parameters)?;
    // SAFETY: The string ends with a zero and outlives the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_finit_module,
            file.as_raw_fd(),
            parameters.as_ptr(),
            0,
        )
    })
    .map(drop)
}

/// delete_module, without waiting.
pub(crate) fn try_unload() -> io::Result<()> {
    let name = CString::new(NAME)?;
    // SAFETY: The string ends with a zero and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_delete_module, name.as_ptr(), libc::O_NONBLOCK) })
        .map(drop)
}

/// delete_module, waiting a little for the last user to go.
pub(crate) fn unload() -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        match try_unload() {
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

/// The value of a parameter of the loaded module.
pub(crate) fn parameter(name: &str) -> io::Result<String> {
    let text = fs::read_to_string(Path::new(SYSFS).join("parameters").join(name))?;
    Ok(text.trim().to_owned())
}

/// Changes a parameter of the loaded module.
pub(crate) fn set_parameter(name: &str, value: &str) -> io::Result<()> {
    fs::write(Path::new(SYSFS).join("parameters").join(name), value)
}

/// All parameters of the loaded module, as they are given to `load`.
pub(crate) fn parameters() -> String {
    let Ok(entries) = fs::read_dir(Path::new(SYSFS).join("parameters")) else {
        return String::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let value = parameter(&name).ok()?;
            Some(format!("{name}={value}"))
        })
        .collect::<Vec<_>>()
        .join(" ")
}
